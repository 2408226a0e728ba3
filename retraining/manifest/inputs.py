"""The grammar of `inputs`: which models are read, and which of their rows each row reads."""

from __future__ import annotations

from typing import Final

from retraining.manifest.composites import Either, ListOf, MapOf
from retraining.manifest.fields import word
from retraining.manifest.records import Field, Record
from retraining.manifest.shapes import Choice, DurationShape, Number, Share
from retraining.manifest.words import COLUMN_SHAPE, NAME_SHAPE

__all__ = ["COLUMNS_SHAPE", "AsOf", "Edges"]

COLUMNS_SHAPE: Final = ListOf(item=COLUMN_SHAPE, expected="columns", minimum=1)
MATCH_SHAPE: Final = Either(
    short=COLUMNS_SHAPE,
    mapping=MapOf(
        names=COLUMN_SHAPE,
        value=COLUMN_SHAPE,
        expected="a mapping from columns of the upstream's dataset to one's own",
        minimum=1,
    ),
)


class AsOf:
    """The fields of `as_of`."""

    MATCH: Final = Field(
        name="match",
        shape=MATCH_SHAPE,
        about="The key whose newest prediction is read: columns, or {upstream column: own column}",
        required=True,
    )
    TOLERANCE: Final = Field(
        name="tolerance",
        shape=DurationShape(),
        about="How old the prediction may be, from its decision to one's own",
        default="any age",
    )
    RECORD: Final = Record(name="as_of", what="as_of", fields=(MATCH, TOLERANCE))


class Edges:
    """The fields of an entry under `inputs`; its name is the upstream model, or one's own beside `from`."""

    FROM: Final = Field(
        name="from",
        shape=ListOf(item=NAME_SHAPE, expected="models", minimum=1),
        about="Models on one dataset whose predictions make one column; no row may have two",
        default="the model of the input's name",
    )
    MATCH: Final = Field(
        name="match",
        shape=MATCH_SHAPE,
        about="The key by which rows find one upstream row: columns, or {upstream column: own column}",
        default="the same dataset, row by row",
    )
    AS_OF: Final = Field(
        name="as_of",
        shape=AsOf.RECORD,
        about="The newest prediction of a key that existed when the row was decided (time scheme)",
        default="none",
    )
    AGGREGATE: Final = Field(
        name="aggregate",
        shape=ListOf(
            item=Choice(options=("mean", "sum", "min", "max", "count")), expected="functions", minimum=1
        ),
        about="Functions of the predictions of `match` that existed when the row was decided",
        default="none",
    )
    AS: Final = Field(name="as", shape=NAME_SHAPE, about="The column's name", default="the upstream's name")
    MISSING: Final = word(
        "missing",
        ("drop", "nan", "refuse"),
        "What becomes of a row without an upstream prediction",
        "nan where the estimator takes it, else drop",
    )
    COVERAGE: Final = Field(
        name="coverage",
        shape=Share(example="95% or 0.95"),
        about="The smallest share of rows (with `aggregate`, of their groups) that must find a prediction",
        default="95%",
    )
    ON_UPSTREAM_CHANGE: Final = word(
        "on_upstream_change",
        ("retrain", "rescore", "ignore"),
        "What a new column makes of a champion: due, checked and due if it is harmed, or only checked",
    )
    SKEW: Final = Field(
        name="skew",
        shape=Number(minimum=0),
        about="The largest shift (PSI) from the column that was learnt from to what the upstream now serves",
        default="reported only",
    )
    RECORD: Final = Record(
        name="edge",
        what="an input",
        fields=(FROM, MATCH, AS_OF, AGGREGATE, AS, MISSING, COVERAGE, ON_UPSTREAM_CHANGE, SKEW),
    )
