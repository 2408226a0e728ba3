"""The grammar of `gate`: when a challenger may replace its champion."""

from __future__ import annotations

from typing import Final

from retraining.manifest.catalog import METRIC_HINTS, METRICS
from retraining.manifest.composites import Either, MapOf
from retraining.manifest.fields import count, word
from retraining.manifest.inputs import COLUMNS_SHAPE
from retraining.manifest.records import Field, Record
from retraining.manifest.scores import LimitName
from retraining.manifest.shapes import Number, Share

__all__ = ["Gates"]


class Gates:
    """The fields of `gate`."""

    ABSOLUTE: Final = Field(
        name="absolute", shape=Number(minimum=0), about="In units of the metric", required=True
    )
    MARGIN: Final = Field(
        name="margin",
        shape=Either(
            short=Share(example="2%, or {absolute: 0.01}"),
            mapping=Record(name="margin", what="a margin", fields=(ABSOLUTE,)),
        ),
        about="How much worse a refresh may be: a share of the champion's loss, or an absolute number",
        default="2%",
    )
    MAX: Final = Field(name="max", shape=Number(), about="The largest value allowed")
    MIN: Final = Field(name="min", shape=Number(), about="The smallest value allowed")
    LIMITS: Final = Field(
        name="limits",
        shape=MapOf(
            names=LimitName(options=tuple(METRICS), hints=METRIC_HINTS),
            value=Record(name="limit", what="a limit", fields=(MAX, MIN), minimum=1),
            expected="a mapping from metrics to limits",
        ),
        about="What a metric must keep to on the holdout, in its natural sign",
        default="none",
    )
    MIN_CLUSTERS: Final = count(
        "min_clusters",
        "The fewest days (folds: groups) that can decide; with fewer the champion stays",
        "8",
        least=2,
        most=1_000_000,
    )
    REFIT_SHIFT: Final = Field(
        name="refit_shift",
        shape=Number(minimum=0),
        about="The largest shift of predictions between the judged fit and the shipped one",
        default="0.25",
    )
    DUMMY: Final = word(
        "dummy", ("warn", "reject"), "What becomes of a challenger that is no better than a constant guess"
    )
    SLICES: Final = Field(
        name="slices",
        shape=COLUMNS_SHAPE,
        about="Columns of which each value is a group of rows that must not pay for what the others gain",
        default="none",
    )
    BY: Final = word(
        "by", ("node", "model"), "Whether each node of the model is judged by itself, or all of them together"
    )
    APPROVE: Final = word(
        "approve",
        ("auto", "manual"),
        "manual: a winner is released when a person says so with `retrain promote`",
    )
    FIRST_RELEASE: Final = word(
        "first_release",
        ("auto", "manual"),
        "auto: the first version of a node, which replaces nothing, is released without asking",
        "as `approve`",
    )
    ON_INSUFFICIENT: Final = word(
        "on_insufficient",
        ("keep", "ship_if_limits"),
        "What becomes of a challenger when there is too little to compare; ship_if_limits: its limits decide",
    )
    RECORD: Final = Record(
        name="gate",
        what="a gate",
        fields=(
            MARGIN,
            LIMITS,
            SLICES,
            BY,
            MIN_CLUSTERS,
            REFIT_SHIFT,
            DUMMY,
            APPROVE,
            FIRST_RELEASE,
            ON_INSUFFICIENT,
        ),
    )
