"""The shapes that values of a manifest can have.

A shape does two things with one description: it reads a node into a value, noting what is wrong,
and it says the same as JSON Schema. So the reader and the schema cannot drift apart.

`read` returns None exactly when a problem was noted; what would only follow from it is left unsaid.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from retraining.manifest.durations import (
    DAYS_PATTERN,
    DURATION_PATTERN,
    SHARE_PATTERN,
    SOME_PATTERN,
    parse_days,
    parse_duration,
    parse_share,
)
from retraining.manifest.nodes import Node, ScalarNode, describe, shortened
from retraining.manifest.problems import Problems, listed
from retraining.manifest.values import Json

__all__ = [
    "Choice",
    "Definitions",
    "DurationShape",
    "Exactly",
    "Integer",
    "Number",
    "Schema",
    "Shape",
    "Share",
    "Text",
    "Written",
    "refuse",
]

T_co = TypeVar("T_co", covariant=True)

Schema: TypeAlias = dict[str, Json]
Definitions: TypeAlias = dict[str, Json]


class Shape(ABC, Generic[T_co]):
    """What a value must look like."""

    @abstractmethod
    def read(self, node: Node, path: str, problems: Problems) -> T_co | None:
        """The value, or None after noting what is wrong with the node."""

    @abstractmethod
    def schema(self, definitions: Definitions) -> Schema:
        """The same as JSON Schema; named parts go into `definitions`."""


def refuse(node: Node, path: str, problems: Problems, expected: str, next_step: str = "") -> None:
    """Note that something else was expected here."""
    if not next_step:
        nothing = isinstance(node, ScalarNode) and node.value is None
        next_step = "write a value, or leave the line out" if nothing else f"write {expected}"
    problems.add(node, path, f"expected {expected}; found {describe(node)}", next_step)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Shape[str]):
    """A text that is not empty; with `pattern`, one that matches it as a whole."""

    expected: str = "a text"
    pattern: str | None = None
    longest: int = 10_000

    def read(self, node: Node, path: str, problems: Problems) -> str | None:
        """The text."""
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str) or not node.value.strip():
            quoted = ""
            if isinstance(node, ScalarNode) and node.text.strip():
                quoted = f'write it in quotes: "{shortened(node.text)}"'
            refuse(node, path, problems, self.expected, quoted)
            return None
        if len(node.value) > self.longest:
            problems.add(node, path, f"a text of more than {self.longest:,} characters", "shorten it")
            return None
        if self.pattern and not re.fullmatch(self.pattern, node.value):
            refuse(node, path, problems, self.expected, "choose another name")
            return None
        return node.value

    def schema(self, definitions: Definitions) -> Schema:
        """A string."""
        return {"type": "string", "pattern": self.pattern or r"\S", "maxLength": self.longest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Shape[str]):
    """A value of the data as it is written: `NO`, `007` and `9E` stay what they are."""

    expected: str = "a value of the data, such as AA or 007"
    null: bool = False

    def read(self, node: Node, path: str, problems: Problems) -> str | None:
        """The written text."""
        if not isinstance(node, ScalarNode) or (node.value is None and not self.null):
            refuse(node, path, problems, self.expected)
            return None
        return node.text

    def schema(self, definitions: Definitions) -> Schema:
        """A scalar."""
        null: list[Json] = ["null"] if self.null else []
        return {"type": ["string", "number", "boolean", *null]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(Shape[str]):
    """One word of a closed list; `also` are other spellings, which messages do not list."""

    options: tuple[str, ...]
    also: tuple[str, ...] = ()
    hints: Mapping[str, str] | None = None

    def read(self, node: Node, path: str, problems: Problems) -> str | None:
        """The word."""
        if isinstance(node, ScalarNode) and node.value in (*self.options, *self.also):
            return node.text
        next_step = "choose one of them"
        if isinstance(node, ScalarNode) and node.value is not None:
            hint = (self.hints or {}).get(node.text)
            next_step = (
                f"did you mean `{hint}`?"
                if hint
                else problems.suggestion(node.text, self.options, "choose one of them")
            )
        refuse(node, path, problems, f"one of {listed(self.options)}", next_step)
        return None

    def schema(self, definitions: Definitions) -> Schema:
        """An enumeration."""
        return {"enum": [*self.options, *self.also]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exactly(Shape[int]):
    """One number and no other."""

    value: int
    next_step: str

    def read(self, node: Node, path: str, problems: Problems) -> int | None:
        """The number."""
        if isinstance(node, ScalarNode) and type(node.value) is int and node.value == self.value:
            return self.value
        refuse(node, path, problems, str(self.value), self.next_step)
        return None

    def schema(self, definitions: Definitions) -> Schema:
        """A constant."""
        return {"const": self.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer(Shape[int]):
    """A whole number from `minimum` to `maximum`."""

    minimum: int = 0
    maximum: int = 1_000_000_000

    def read(self, node: Node, path: str, problems: Problems) -> int | None:
        """The number."""
        if isinstance(node, ScalarNode) and type(node.value) is int:
            if self.minimum <= node.value <= self.maximum:
                return node.value
            refuse(node, path, problems, f"a whole number from {self.minimum} to {self.maximum}")
            return None
        refuse(node, path, problems, f"a whole number of at least {self.minimum}")
        return None

    def schema(self, definitions: Definitions) -> Schema:
        """An integer."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Shape[float]):
    """A finite number, of at least `minimum` if there is one."""

    minimum: float | None = None

    def read(self, node: Node, path: str, problems: Problems) -> float | None:
        """The number."""
        expected = "a number" if self.minimum is None else f"a number of at least {self.minimum:g}"
        if isinstance(node, ScalarNode) and isinstance(node.value, int | float):
            value = node.value
            finite = not isinstance(value, bool) and math.isfinite(value)
            if finite and (self.minimum is None or value >= self.minimum):
                return float(value)
        refuse(node, path, problems, expected)
        return None

    def schema(self, definitions: Definitions) -> Schema:
        """A number."""
        return {"type": "number"} if self.minimum is None else {"type": "number", "minimum": self.minimum}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Shape[float]):
    """A share from 0 to 1, written as a percentage or as a fraction."""

    example: str

    def read(self, node: Node, path: str, problems: Problems) -> float | None:
        """The fraction."""
        share: float | None = None
        if isinstance(node, ScalarNode):
            if isinstance(node.value, str):
                share = parse_share(node.value)
            elif isinstance(node.value, int | float) and not isinstance(node.value, bool):
                share = float(node.value) if 0 <= node.value <= 1 else None
        if share is None:
            refuse(node, path, problems, "a share from 0% to 100%", f"write it like {self.example}")
        return share

    def schema(self, definitions: Definitions) -> Schema:
        """A percentage or a fraction."""
        return {
            "anyOf": [
                {"type": "string", "pattern": SHARE_PATTERN},
                {"type": "number", "minimum": 0, "maximum": 1},
            ]
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DurationShape(Shape[dt.timedelta]):
    """A duration; with `whole_days`, at least one day, in days or weeks; with `positive`, more than none."""

    whole_days: bool = False
    positive: bool = False

    def read(self, node: Node, path: str, problems: Problems) -> dt.timedelta | None:
        """The duration."""
        text = node.text if isinstance(node, ScalarNode) else ""
        if self.whole_days:
            duration = parse_days(text)
            expected, step = "whole days or weeks, at least one", "write it like 1d or 2w"
        else:
            duration = parse_duration(text)
            expected, step = (
                "a duration: a whole number and m, h, d or w",
                "write it like 2w, 14d, 12h or 30m",
            )
            if self.positive and not duration:
                duration, expected = None, "a duration of more than nothing"
        if duration is None:
            refuse(node, path, problems, expected, step)
        return duration

    def schema(self, definitions: Definitions) -> Schema:
        """A string such as 2w, or 0."""
        text: Schema = {"type": "string", "pattern": DURATION_PATTERN}
        if self.whole_days:
            return {"type": "string", "pattern": DAYS_PATTERN}
        if self.positive:
            return {"type": "string", "pattern": SOME_PATTERN}
        return {"anyOf": [text, {"const": 0}, {"const": "0"}]}
