"""What a person writes to mean some nodes: dbt's selection grammar, read into a tree.

::

    expression    =  intersection { space intersection }          union
    intersection  =  term { "," term }                            no spaces around the comma
    term          =  "@" atom  |  [ [depth] "+" ] atom [ "+" [depth] ]
    atom          =  method ":" pattern  |  model pattern [ "[*]" | "[" value { "," value } "]" ]
    value         =  column "=" text                              text: bare or a JSON string

`+name` adds everything that the node depends on, `name+` everything that depends on it, a depth limits
the number of edges, and `@name` means the node, its dependents, and all that any of them depends on.
`model[*]` is the model's pool. Methods are `tag` and `state`. Patterns may hold `*` and `?`; a quoted value is literal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from retraining.errors import SelectionError
from retraining.graph.nodes import POOL, PartitionValue, read_partition, unreadable

__all__ = [
    "Intersection",
    "ModelAtom",
    "Selection",
    "StateAtom",
    "TagAtom",
    "Term",
    "Union",
    "parse_selection",
]

_METHODS = ("state", "tag")
_TERM = re.compile(r"(?P<at>@)?(?:(?P<up_depth>\d*)(?P<up>\+))?(?P<word>[^\s,+@\[\]\"=]*)")
_TAIL = re.compile(r"(?P<down>\+)(?P<down_depth>\d*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAtom:
    """Nodes by the name of their model and, if `values` is not empty, by their partition; or its `pool`."""

    model: str
    values: tuple[PartitionValue, ...] = ()
    pool: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TagAtom:
    """All nodes of the models with a tag."""

    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateAtom:
    """The nodes that are in a state now; which states there are, the caller of `select` says."""

    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An atom with its neighbourhood.

    `upstream` and `downstream` are numbers of edges: 0 adds nothing, None everything. `closed` (`@`)
    means all downstreams and everything upstream of any of them. `text[start:end]` is the term.
    """

    atom: ModelAtom | TagAtom | StateAtom
    upstream: int | None
    downstream: int | None
    closed: bool
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intersection:
    """What every one of two or more terms selects."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Union:
    """What any of two or more parts selects."""

    parts: tuple[Intersection | Term, ...]


Selection: TypeAlias = Union | Intersection | Term


def parse_selection(text: str) -> Selection:
    """The tree of a selection expression.

    Raises `SelectionError` with a caret under the first character that cannot be understood.
    """
    parts: list[Intersection | Term] = []
    position = _skip_spaces(text, 0)
    while position < len(text):
        terms: list[Term] = []
        while True:
            term = _read_term(text, position)
            terms.append(term)
            position = term.end
            if text[position : position + 1] != ",":
                break
            position += 1
        parts.append(terms[0] if len(terms) == 1 else Intersection(terms=tuple(terms)))
        after = _skip_spaces(text, position)
        if after == position and position < len(text):
            raise unreadable(text, position, "expected a space, a comma or the end of the expression here")
        position = after
    if not parts:
        raise SelectionError(
            "the selection is empty", "name a model, or leave the option out to select every node"
        )
    return parts[0] if len(parts) == 1 else Union(parts=tuple(parts))


def _skip_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _read_term(text: str, start: int) -> Term:
    head = _TERM.match(text, start)
    assert head is not None
    word, position = head["word"], head.end()
    if head["at"] and head["up"]:
        raise unreadable(text, start, "'@' already selects upstream nodes: leave out the '+' before the name")
    if not word:
        hint = "a comma joins two terms without a space" if text[position - 1 : position] == "," else ""
        raise unreadable(text, position, "expected the name of a model, tag:… or state:… here", hint)
    values: tuple[PartitionValue, ...] = ()
    pool = text.startswith(POOL, position)
    if pool:
        position += len(POOL)
    elif text[position : position + 1] == "[":
        values, position = read_partition(text, position)
    atom = _atom(text, head.start("word"), word, values, pool)
    tail = _TAIL.match(text, position)
    if tail and head["at"]:
        raise unreadable(
            text, position, "'@' already selects downstream nodes: leave out the '+' after the name"
        )
    return Term(
        atom=atom,
        upstream=_depth(head["up"], head["up_depth"]),
        downstream=_depth(tail and tail["down"], tail["down_depth"] if tail else ""),
        closed=bool(head["at"]),
        text=text,
        start=start,
        end=tail.end() if tail else position,
    )


def _depth(plus: str | None, digits: str) -> int | None:
    """The number of edges that a plus sign asks for; None is no limit, 0 no plus sign."""
    if not plus:
        return 0
    return int(digits[:9]) if digits else None


def _atom(
    text: str, start: int, word: str, values: tuple[PartitionValue, ...], pool: bool
) -> ModelAtom | TagAtom | StateAtom:
    method, colon, value = word.partition(":")
    if not colon:
        columns = [each.column for each in values]
        for position, column in enumerate(columns):
            if column in columns[:position]:
                raise unreadable(
                    text,
                    values[position].position,
                    f"the column {column!r} is named twice, and no partition has two values of it",
                    f"select both with a space: {word}[…] {word}[…]",
                )
        return ModelAtom(model=word, values=values, pool=pool)
    if method not in _METHODS:
        raise unreadable(
            text,
            start,
            f"there is no selection method {method!r}",
            f"the methods are {', '.join(f'{name}:' for name in _METHODS)}",
        )
    if values or pool:
        raise unreadable(text, start + len(word), f"{method}: cannot be followed by a partition")
    if not value:
        raise unreadable(text, start + len(word), f"expected the name of a {method} here")
    return TagAtom(tag=value) if method == "tag" else StateAtom(state=value)
