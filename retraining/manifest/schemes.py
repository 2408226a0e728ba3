"""The grammar of `validation`: the time scheme, the fold scheme, and folds that a column gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from retraining.manifest.fields import count
from retraining.manifest.nodes import MappingNode, Node, ScalarNode
from retraining.manifest.problems import Problems
from retraining.manifest.records import Field, Reading, Record
from retraining.manifest.shapes import Choice, Definitions, DurationShape, Schema, Shape
from retraining.manifest.values import FoldScheme, Scheme, TimeScheme
from retraining.manifest.words import COLUMN_SHAPE

__all__ = ["SchemeShape"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SchemeWord(Choice):
    """`time`, `folds` or `predefined`; in the schema of one of them only its own word."""

    own: str
    options: tuple[str, ...] = ("time", "folds", "predefined")

    def schema(self, definitions: Definitions) -> Schema:
        """A constant."""
        return {"const": self.own}


_ABOUT_SCHEME = "time: calendar blocks, trained on the past only; folds: by a hash; predefined: by a column"

MIN_ROWS: Final = count("rows", "The fewest rows that a fit is made from", "100")
MIN_BLOCKS: Final = count("blocks", "The fewest different blocks that those rows come from", "2")
MIN_TRAIN: Final = Field(
    name="min_train",
    shape=Record(name="min_train", what="min_train", fields=(MIN_ROWS, MIN_BLOCKS)),
    about="What a fit needs at least; before that predictions are missing",
    default="{rows: 100, blocks: 2}",
)
BLOCKS: Final = Field(
    name="blocks", shape=DurationShape(whole_days=True), about="The length of a block", default="2w"
)
HOLDOUT: Final = count(
    "holdout", "How many of the newest blocks with known labels judge a challenger", "1", most=1000
)
EMBARGO: Final = Field(
    name="embargo",
    shape=DurationShape(),
    about="How much earlier than a fit's cut a label must have been known to train it",
    default="0d",
)
FOLDS: Final = count(
    "folds", "The number of folds; a chain of L levels of models needs at least L + 1", "5", least=2, most=100
)
COLUMN: Final = Field(
    name="column",
    shape=COLUMN_SHAPE,
    about="The column of which each value is a fold; it has one in every row",
    required=True,
)
_TIME: Final = Record(
    name="time_scheme",
    what="the time scheme",
    fields=(
        Field(name="scheme", shape=_SchemeWord(own="time"), about=_ABOUT_SCHEME, required=True),
        BLOCKS,
        HOLDOUT,
        EMBARGO,
        MIN_TRAIN,
    ),
    hints={"folds": "`folds` belongs to `scheme: folds`"},
)
_FOLDS: Final = Record(
    name="fold_scheme",
    what="the fold scheme",
    fields=(
        Field(name="scheme", shape=_SchemeWord(own="folds"), about=_ABOUT_SCHEME, required=True),
        FOLDS,
    ),
    hints={
        name: f"`{name}` belongs to `scheme: time`" for name in ("blocks", "holdout", "embargo", "min_train")
    },
)


_PREDEFINED: Final = Record(
    name="predefined_scheme",
    what="predefined folds",
    fields=(
        Field(name="scheme", shape=_SchemeWord(own="predefined"), about=_ABOUT_SCHEME, required=True),
        COLUMN,
    ),
    hints={"folds": "each value of the column is a fold: remove `folds`"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeShape(Shape[Scheme]):
    """A mapping that `scheme` makes a time scheme or one of folds."""

    def read(self, node: Node, path: str, problems: Problems) -> Scheme | None:
        """The scheme with its defaults filled in."""
        before = len(problems)
        written: dict[str, Node] = {}
        if isinstance(node, MappingNode):
            written = {entry.key.text: entry.node for entry in node.entries}
        word = written.get("scheme")
        if isinstance(word, ScalarNode) and word.value in ("time", "folds", "predefined"):
            record = {"time": _TIME, "folds": _FOLDS, "predefined": _PREDEFINED}[word.text]
        else:
            record = _FOLDS if "folds" in written else _TIME
        reading = record.read(node, path, problems)
        if reading is None or len(problems) > before:
            return None
        if record is _PREDEFINED:
            return FoldScheme(folds=0, column=reading.value(COLUMN))
        return FoldScheme(folds=reading.value(FOLDS) or 5) if record is _FOLDS else _time_scheme(reading)

    def schema(self, definitions: Definitions) -> Schema:
        """Any of the three."""
        return {"anyOf": [record.schema(definitions) for record in (_TIME, _FOLDS, _PREDEFINED)]}


def _time_scheme(reading: Reading) -> TimeScheme:
    plain = TimeScheme()
    blocks = reading.value(BLOCKS)
    embargo = reading.value(EMBARGO)
    needed = reading.value(MIN_TRAIN)
    return TimeScheme(
        block_days=blocks.days if blocks else plain.block_days,
        holdout=reading.value(HOLDOUT) or plain.holdout,
        embargo=plain.embargo if embargo is None else embargo,
        min_rows=(needed and needed.value(MIN_ROWS)) or plain.min_rows,
        min_blocks=(needed and needed.value(MIN_BLOCKS)) or plain.min_blocks,
    )
