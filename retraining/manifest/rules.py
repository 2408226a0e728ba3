"""The grammar of `retrain_when`: conditions, and how many of them must hold.

`{definition, upstream, data: {blocks: 1}}` means any of them; `all: [...]` means every one;
`any: [...]` with `at_least: n` means so many; both may have `not_within`. A bare word is a condition without settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from retraining.manifest.composites import ListOf
from retraining.manifest.drifts import DriftShape
from retraining.manifest.nodes import MappingNode, Node, ScalarNode, describe
from retraining.manifest.performance import PerformanceShape
from retraining.manifest.problems import Problems
from retraining.manifest.records import Field, Reading, Record
from retraining.manifest.schedules import SCHEDULE_SHAPE
from retraining.manifest.shapes import Choice, Definitions, DurationShape, Integer, Schema, Shape, Share
from retraining.manifest.values import (
    AgeCondition,
    Condition,
    DataCondition,
    DefinitionCondition,
    DriftCondition,
    FeedbackCondition,
    PerformanceCondition,
    Rule,
    ScheduleCondition,
    UpstreamCondition,
)

__all__ = ["RuleShape", "blocks_node"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _NoSettings(Shape[bool]):
    """Nothing, or an empty mapping: the settings of a condition that has none."""

    def read(self, node: Node, path: str, problems: Problems) -> bool | None:
        """True."""
        empty = isinstance(node, MappingNode) and not node.entries
        if empty or (isinstance(node, ScalarNode) and node.value is None):
            return True
        found = f"this condition has no settings; found {describe(node)}"
        problems.add(node, path, found, "write the bare word")
        return None

    def schema(self, definitions: Definitions) -> Schema:
        """Null or an empty object."""
        return {"anyOf": [{"type": "null"}, {"type": "object", "maxProperties": 0}]}


BLOCKS: Final = Field(
    name="blocks", shape=Integer(minimum=1), about="So many new blocks have begun (time scheme)"
)
ROWS: Final = Field(name="rows", shape=Integer(minimum=1), about="So many training rows are new or changed")
SHARE: Final = Field(
    name="share", shape=Share(example="10%"), about="Such a share of the training rows is new or changed"
)


_DATA: Final = Record(name="data_condition", what="`data`", fields=(BLOCKS, ROWS, SHARE), minimum=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OneSetting(Shape[Condition]):
    """A condition with exactly one of its settings; `instead` is written for a share that is always reached."""

    make: Callable[[Reading], Condition]
    record: Record
    share: Field[float]
    instead: str

    def read(self, node: Node, path: str, problems: Problems) -> Condition | None:
        """The condition."""
        before = len(problems)
        reading = self.record.read(node, path, problems)
        if reading is None or len(problems) > before:
            return None
        if len(reading.values) > 1:
            *names, last = (field.name for field in self.record.fields)
            written = " and ".join(f"`{name}`" for name in reading.values)
            takes = f"{self.record.what} takes one of {', '.join(names)} and {last}"
            problems.add(node, path, f"{takes}; found {written}", "keep one")
            return None
        if reading.value(self.share) == 0:
            problems.add(
                node, path, "a share of 0% is always reached", f"write a share above 0%, or {self.instead}"
            )
            return None
        return self.make(reading)

    def schema(self, definitions: Definitions) -> Schema:
        """An object with one property."""
        return {**self.record.schema(definitions), "maxProperties": 1}


LABELS: Final = Field(
    name="rows", shape=Integer(minimum=1), about="In so many rows a label came or changed by feedback"
)
CORRECTED: Final = Field(
    name="corrected",
    shape=Share(example="5%"),
    about="Such a share of the labels that train was replaced or taken away by feedback",
)
_FEEDBACK: Final = Record(name="feedback_condition", what="`feedback`", fields=(LABELS, CORRECTED), minimum=1)


def _data(reading: Reading) -> DataCondition:
    return DataCondition(blocks=reading.value(BLOCKS), rows=reading.value(ROWS), share=reading.value(SHARE))


def _feedback(reading: Reading) -> FeedbackCondition:
    return FeedbackCondition(rows=reading.value(LABELS), corrected=reading.value(CORRECTED))


DEFINITION: Final = Field(
    name="definition", shape=_NoSettings(), about="The model's definition differs from the champion's"
)
UPSTREAM: Final = Field(
    name="upstream", shape=_NoSettings(), about="An upstream column changed on the model's rows"
)
DATA: Final = Field(
    name="data",
    shape=_OneSetting(make=_data, record=_DATA, share=SHARE, instead="`rows: 1`"),
    about="Training data changed by at least so much",
)
FEEDBACK: Final = Field(
    name="feedback",
    shape=_OneSetting(make=_feedback, record=_FEEDBACK, share=CORRECTED, instead="`rows: 1`"),
    about="Late labels came, or corrected others",
)
AGE: Final = Field(
    name="age",
    shape=DurationShape(positive=True),
    about="What the champion learnt from ends so long ago (by folds: it was released then)",
)
SCHEDULE: Final = Field(
    name="schedule",
    shape=SCHEDULE_SHAPE,
    about="An instant of this cron text has come since the last attempt",
)
PERFORMANCE: Final = Field(
    name="performance",
    shape=PerformanceShape(),
    about="The champion does badly on mature blocks that came after its cut",
)
DRIFT: Final = Field(
    name="drift",
    shape=DriftShape(),
    about="On days since the champion's cut its loss, its predictions or what it reads differ from its training blocks",
)
_WORDS: Final = Choice(options=("definition", "upstream"))
_CONDITIONS: Final = Record(
    name="conditions",
    what="retrain_when",
    fields=(DEFINITION, UPSTREAM, DATA, AGE, SCHEDULE, PERFORMANCE, FEEDBACK, DRIFT),
    minimum=1,
    hints={"not_within": "write the conditions as a list: {any: [...], not_within: 3d}"},
)


_SETTINGS: Final = {
    "data": "{data: {rows: 1000}}",
    "age": "{age: 60d}",
    "schedule": '{schedule: "0 3 * * 1"}',
    "performance": "{performance: {worse_than_gate: true}}",
    "feedback": "{feedback: {rows: 100}}",
    "drift": "{drift: {column: loss}}",
}


def _word(text: str) -> Condition:
    return DefinitionCondition() if text == "definition" else UpstreamCondition()


def _conditions(reading: Reading) -> tuple[Condition, ...]:
    found: list[Condition] = []
    for name in reading.values:
        value, age = reading.values[name], reading.value(AGE)
        if isinstance(
            value,
            DataCondition | ScheduleCondition | PerformanceCondition | FeedbackCondition | DriftCondition,
        ):
            found.append(value)
        elif name == "age" and age is not None:
            found.append(AgeCondition(age=age))
        else:
            found.append(_word(name))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ConditionShape(Shape[Condition]):
    """One condition in a list: a bare word, or a mapping with one condition."""

    def read(self, node: Node, path: str, problems: Problems) -> Condition | None:
        """The condition."""
        word = node.text if isinstance(node, ScalarNode) else ""
        if word in _SETTINGS:
            problems.add(node, path, f"`{word}` needs settings", f"write {_SETTINGS[word]}")
            return None
        if not isinstance(node, MappingNode):
            known = _WORDS.read(node, path, problems)
            return None if known is None else _word(known)
        before = len(problems)
        reading = _CONDITIONS.read(node, path, problems)
        if reading is None or len(problems) > before:
            return None
        if len(reading.values) > 1:
            found = "an item of this list is one condition; found several"
            problems.add(node, path, found, "write each as an item of its own")
            return None
        return _conditions(reading)[0]

    def schema(self, definitions: Definitions) -> Schema:
        """A word or an object with one property."""
        one: Schema = {**_CONDITIONS.schema(definitions), "maxProperties": 1}
        return {"anyOf": [_WORDS.schema(definitions), one]}


_LIST: Final = ListOf(item=_ConditionShape(), expected="conditions", minimum=1)
ANY: Final = Field(name="any", shape=_LIST, about="Due when one of these holds, or `at_least` so many")
AT_LEAST: Final = Field(
    name="at_least", shape=Integer(minimum=1, maximum=100), about="How many must hold", default="1"
)
ALL: Final = Field(name="all", shape=_LIST, about="Due when every one of these holds")
NOT_WITHIN: Final = Field(
    name="not_within",
    shape=DurationShape(positive=True),
    about="Not due within so long of the last attempt, whatever holds",
)
_ANY: Final = Record(name="any_rule", what="retrain_when", fields=(ANY, AT_LEAST, NOT_WITHIN))
_ALL: Final = Record(
    name="all_rule",
    what="retrain_when",
    fields=(ALL, NOT_WITHIN),
    hints={
        "any": "keep one of `any` and `all`",
        "at_least": "`at_least` belongs to `any`",
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleShape(Shape[Rule]):
    """A bare word, a mapping of conditions, or `any` or `all` with a list of them."""

    def read(self, node: Node, path: str, problems: Problems) -> Rule | None:
        """The rule."""
        before = len(problems)
        if not isinstance(node, MappingNode):
            return self._bare(node, path, problems)
        names = {entry.key.text for entry in node.entries}
        record = _ALL if "all" in names else _ANY if names & {"any", "at_least"} else _CONDITIONS
        reading = record.read(node, path, problems)
        if reading is None or len(problems) > before:
            return None
        if record is _CONDITIONS:
            return Rule(conditions=_conditions(reading))
        if record is _ALL:
            every = reading.value(ALL) or ()
            return Rule(conditions=every, at_least=len(every), not_within=reading.value(NOT_WITHIN))
        return self._any(reading, problems)

    def _bare(self, node: Node, path: str, problems: Problems) -> Rule | None:
        if isinstance(node, ScalarNode):
            condition = _ConditionShape().read(node, path, problems)
            return None if condition is None else Rule(conditions=(condition,))
        found = f"expected a mapping of conditions; found {describe(node)}"
        problems.add(node, path, found, "write `any:` or `all:` above the list")
        return None

    def _any(self, reading: Reading, problems: Problems) -> Rule | None:
        conditions = reading.value(ANY)
        at_least = reading.value(AT_LEAST) or 1
        if conditions is None:
            problems.add(reading.node, reading.path, "`at_least` counts the conditions of `any`", "add `any`")
            return None
        if at_least > len(conditions):
            found = f"`at_least: {at_least}` can never hold: `any` has {len(conditions)} conditions"
            problems.add(reading.where(AT_LEAST), reading.at(AT_LEAST), found, "lower it")
            return None
        return Rule(conditions=conditions, at_least=at_least, not_within=reading.value(NOT_WITHIN))

    def schema(self, definitions: Definitions) -> Schema:
        """Any of the four forms."""
        return {
            "anyOf": [
                _WORDS.schema(definitions),
                _CONDITIONS.schema(definitions),
                {**_ANY.schema(definitions), "required": ["any"]},
                {**_ALL.schema(definitions), "required": ["all"]},
            ]
        }


def blocks_node(node: Node) -> Node | None:
    """The node of the first `blocks` setting within a rule; None if there is none."""
    if isinstance(node, ScalarNode):
        return None
    if isinstance(node, MappingNode):
        for entry in node.entries:
            if entry.key.text == "blocks":
                return entry.node
        inner = [entry.node for entry in node.entries]
    else:
        inner = list(node.items)
    return next((found for child in inner if (found := blocks_node(child)) is not None), None)
