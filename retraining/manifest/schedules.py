"""The grammar of the condition `schedule`: a cron text, alone or with a zone and what becomes of missed instants."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final, Literal

from cronsim import CronSim, CronSimError

from retraining.manifest.fields import count, word
from retraining.manifest.nodes import Node, ScalarNode, shortened
from retraining.manifest.problems import Problems
from retraining.manifest.records import Field, Record
from retraining.manifest.shapes import Definitions, Schema, Shape, Text
from retraining.manifest.values import ScheduleCondition
from retraining.manifest.words import Timezone

__all__ = ["SCHEDULE_SHAPE"]

_FIELDS: Final = "minute, hour, day of month, month, day of week"
_MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cron(Text):
    """A cron text of five fields that has instants."""

    expected: str = f'a cron text of five fields ({_FIELDS}), such as "0 3 * * 1"'
    longest: int = 200

    def read(self, node: Node, path: str, problems: Problems) -> str | None:
        """The text, with one space between its fields."""
        text = Text.read(self, node, path, problems)
        if text is None:
            return None
        fields = text.split()
        written = " ".join(fields)
        if written.lower() in _MACROS:
            step = f'write "{_MACROS[written.lower()]}"'
        elif len(fields) != len(_FIELDS.split(", ")):
            step = f"write five fields: {_FIELDS}"
        elif (wrong := _problem(written)) is not None:
            step = f"the {wrong} cannot be read: the fields are {_FIELDS}"
        else:
            return written
        problems.add(node, path, f'"{shortened(written)}" is no cron text of five fields', step)
        return None

    def schema(self, definitions: Definitions) -> Schema:
        """A string of five words."""
        return {"type": "string", "pattern": r"^\s*(\S+\s+){4}\S+\s*$", "maxLength": self.longest}


def _problem(text: str) -> str | None:
    """The part of a cron text of five fields that is wrong; None where all are right."""
    try:
        next(CronSim(text, dt.datetime(2000, 1, 1, tzinfo=dt.UTC)))
    except CronSimError as error:
        return str(error).removeprefix("Bad ")
    except StopIteration:
        return "day, which never comes,"
    return None


CRON: Final = Field(
    name="cron",
    shape=_Cron(),
    about="When: minute, hour, day of month, month, day of week",
    required=True,
)
TIMEZONE: Final = Field(
    name="timezone", shape=Timezone(), about="The zone of the cron text (default: the manifest's)"
)
MISSED: Final = word(
    "missed", ("latest", "all", "none"), "Which instants are answered that nobody looked at in time"
)
LIMIT: Final = count(
    "limit", "With `missed: all`: so many of the newest missed instants at most", "10", most=1_000
)
_SETTINGS: Final = Record(
    name="schedule_condition", what="`schedule`", fields=(CRON, TIMEZONE, MISSED, LIMIT)
)
_WORDS: Final[dict[str, Literal["latest", "all", "none"]]] = {
    "latest": "latest",
    "all": "all",
    "none": "none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _ScheduleShape(Shape[ScheduleCondition]):
    """A cron text, or a mapping with one."""

    def read(self, node: Node, path: str, problems: Problems) -> ScheduleCondition | None:
        """The condition."""
        if isinstance(node, ScalarNode):
            cron = CRON.shape.read(node, path, problems)
            return None if cron is None else ScheduleCondition(cron=cron)
        before = len(problems)
        reading = _SETTINGS.read(node, path, problems)
        if reading is None or len(problems) > before:
            return None
        cron, missed, limit = reading.value(CRON), reading.value(MISSED) or "latest", reading.value(LIMIT)
        assert cron is not None
        if limit is not None and missed != "all":
            others = "answers the newest alone" if missed == "latest" else "answers none"
            found = f"`limit` is how many missed instants are answered, and `missed: {missed}` {others}"
            problems.add(
                reading.where(LIMIT), reading.at(LIMIT), found, "write `missed: all`, or leave it out"
            )
            return None
        return ScheduleCondition(
            cron=cron, timezone=reading.value(TIMEZONE), missed=_WORDS[missed], limit=limit
        )

    def schema(self, definitions: Definitions) -> Schema:
        """A text or an object."""
        return {"anyOf": [CRON.shape.schema(definitions), _SETTINGS.schema(definitions)]}


SCHEDULE_SHAPE: Final = _ScheduleShape()
