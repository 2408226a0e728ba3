"""The grammar of a manifest: every field, its shape, what it means, and its default.

One description, from which the reader, the JSON Schema and the messages are made. A feature that
does not work yet is not in it. What one field says about another is checked in `models.py` and
`connections.py`.
"""

from __future__ import annotations

from typing import Final

from retraining.manifest.composites import Either, JsonMapping, ListOf, MapOf
from retraining.manifest.datasets import Datasets
from retraining.manifest.fields import count, word
from retraining.manifest.gates import Gates
from retraining.manifest.inputs import COLUMNS_SHAPE, AsOf, Edges
from retraining.manifest.records import Field, Record
from retraining.manifest.refusals import MODEL_FIELDS, LabelColumn
from retraining.manifest.resources import Requests
from retraining.manifest.rules import RuleShape
from retraining.manifest.schemes import SchemeShape
from retraining.manifest.scores import MetricShape
from retraining.manifest.shapes import Choice, DurationShape, Exactly, Text, Written
from retraining.manifest.words import (
    COLUMN_SHAPE,
    NAME_SHAPE,
    EstimatorType,
    PartitionValue,
    Timezone,
)

__all__ = [
    "AsOf",
    "Datasets",
    "Edges",
    "Estimators",
    "Gates",
    "Models",
    "Partitioning",
    "Requests",
    "Targets",
    "Top",
    "Weights",
]


class Targets:
    """The fields of `target`."""

    COLUMN: Final = Field(name="column", shape=LabelColumn(), about="The column of the label", required=True)
    KNOWN_AT: Final = Field(
        name="known_at",
        shape=COLUMN_SHAPE,
        about="The column of the moment at which the label is known, whatever the label's value",
    )
    KNOWN_AFTER: Final = Field(
        name="known_after",
        shape=DurationShape(),
        about="How long after the decision the label is known; 0d where it is known at once",
    )
    CLASSES: Final = Field(
        name="classes",
        shape=ListOf(item=Written(), expected="classes", minimum=2, as_written=True),
        about="The classes in the order of their columns; another label is an error",
        default="those of the data, sorted",
    )
    POSITIVE: Final = Field(
        name="positive",
        shape=Written(),
        about="Which of two classes is the positive one, whose probability is handed down",
        default="the last",
    )
    RECORD: Final = Record(
        name="target", what="a target", fields=(COLUMN, KNOWN_AT, KNOWN_AFTER, CLASSES, POSITIVE)
    )


class Weights:
    """The fields of `weight`."""

    COLUMN: Final = Field(
        name="column", shape=COLUMN_SHAPE, about="The column of how much a row counts in every fit and score"
    )
    HALF_LIFE: Final = Field(
        name="half_life",
        shape=DurationShape(positive=True),
        about="The age at which a row counts half in a fit, back from the fit's own cut (time scheme)",
    )
    RECORD: Final = Record(name="weight", what="a weight", fields=(COLUMN, HALF_LIFE), minimum=1)


class Partitioning:
    """The fields of `partitions`."""

    _VALUES: Final = ListOf(item=PartitionValue(), expected="values", minimum=1, as_written=True)
    ONLY: Final = Field(name="only", shape=_VALUES, about="The values that become nodes", default="all")
    EXCEPT: Final = Field(
        name="except", shape=_VALUES, about="The values that do not become nodes", default="none"
    )
    MIN_ROWS: Final = count("min_rows", "The fewest rows of a value that becomes a node", "100")
    SMALL: Final = word(
        "small",
        ("skip", "pool", "error"),
        "What becomes of a value of fewer rows; pool: one more node, of all rows, serves what has no node",
    )
    MAX: Final = count(
        "max",
        "The most nodes of the model; more are an error, as after a column of names became one of numbers",
        "1000",
    )
    RECORD: Final = Record(name="partitions", what="partitions", fields=(ONLY, EXCEPT, MIN_ROWS, SMALL, MAX))


class Estimators:
    """The fields of `estimator`."""

    TYPE: Final = Field(
        name="type",
        shape=EstimatorType(),
        about="The class, of scikit-learn or XGBoost, or package.module:callable where that package is allowed",
        required=True,
    )
    PARAMETERS: Final = Field(
        name="parameters",
        shape=JsonMapping(expected="a mapping from parameters to values"),
        about="The parameters of the class",
        default="its own",
    )
    VERSION: Final = Field(
        name="version",
        shape=Written(expected="a text or number"),
        about="Raise it to say that the recipe changed where the manifest cannot show it",
    )
    TASK: Final = word(
        "task",
        ("regression", "classification"),
        "What a callable of your own predicts",
        "as `metrics` or `classes` say",
    )
    RECORD: Final = Record(name="estimator", what="an estimator", fields=(TYPE, PARAMETERS, VERSION, TASK))


class Models:
    """The fields of an entry under `models`, and of `defaults`."""

    DESCRIPTION: Final = Field(name="description", shape=Text(), about="What the model is for")
    OWNER: Final = Field(name="owner", shape=Text(), about="Who answers for the model")
    TAGS: Final = Field(
        name="tags", shape=ListOf(item=NAME_SHAPE, expected="names"), about="Names to select models by"
    )
    DATASET: Final = Field(
        name="dataset", shape=NAME_SHAPE, about="The dataset whose rows the model predicts", required=True
    )
    PARTITION_BY: Final = Field(
        name="partition_by",
        shape=COLUMNS_SHAPE,
        about="Columns of which each combination of values is a model of its own (a node)",
        default="one node",
    )
    PARTITIONS: Final = Field(
        name="partitions", shape=Partitioning.RECORD, about="Which values of `partition_by` become nodes"
    )
    TARGET: Final = Field(
        name="target",
        shape=Either(short=LabelColumn(), mapping=Targets.RECORD),
        about="The label, and when it is known",
        required=True,
    )
    TRAIN_WHERE: Final = Field(
        name="train_where",
        shape=COLUMN_SHAPE,
        about="A truth value; rows where it is not true are predicted, never trained on or judged",
        default="every labelled row",
    )
    WEIGHT: Final = Field(
        name="weight",
        shape=Either(short=COLUMN_SHAPE, mapping=Weights.RECORD),
        about="How much a row counts: a column, or a column and a half life",
        default="every row counts the same",
    )
    WINDOW: Final = Field(
        name="window",
        shape=DurationShape(positive=True),
        about="How far back from its own cut a fit learns (time scheme)",
        default="from the first row on",
    )
    FEATURES: Final = Field(
        name="features",
        shape=ListOf(item=COLUMN_SHAPE, expected="columns"),
        about="The columns that the model learns from, besides its inputs",
    )
    INPUTS: Final = Field(
        name="inputs",
        shape=MapOf(
            names=NAME_SHAPE, value=Edges.RECORD, expected="a mapping from upstream models to settings"
        ),
        about="The upstream models whose predictions are columns of this one",
    )
    ESTIMATOR: Final = Field(
        name="estimator",
        shape=Either(short=Estimators.TYPE.shape, mapping=Estimators.RECORD),
        about="What is fitted: a class, or a class with parameters",
    )
    PREPROCESS: Final = word(
        "preprocess",
        ("auto", "none"),
        "auto: encode, impute and scale where the estimator needs it, inside each fit",
    )
    METRICS: Final = Field(
        name="metrics",
        shape=ListOf(item=MetricShape(), expected="metrics", minimum=1),
        about="What is measured; the first decides",
        default="mean_squared_error for regression, log_loss for classification",
    )
    SHIP: Final = word(
        "ship",
        ("refit", "gated"),
        "refit: train again on all rows after winning; gated: ship the fit that was judged",
    )
    DEGENERATE: Final = word(
        "degenerate",
        ("fail", "prior"),
        "What becomes of a fit whose rows have one class, or one value that the estimator cannot learn: "
        "fail: there is none; prior: it predicts that class or value",
    )
    RETRAIN_WHEN: Final = Field(
        name="retrain_when",
        shape=RuleShape(),
        about="When the model is due",
        default="{definition, upstream, data: {blocks: 1}}; in the fold scheme data: {share: 10%}",
    )
    GATE: Final = Field(name="gate", shape=Gates.RECORD, about="When a challenger may replace its champion")
    RESOURCES: Final = Field(
        name="resources",
        shape=Requests.RECORD,
        about="What a cluster must have free for one fit; the serial backend does not ask",
        default="one CPU",
    )
    _SHARED: Final = (
        DESCRIPTION,
        OWNER,
        TAGS,
        PARTITION_BY,
        PARTITIONS,
        TRAIN_WHERE,
        WEIGHT,
        WINDOW,
        ESTIMATOR,
        PREPROCESS,
        METRICS,
        SHIP,
        DEGENERATE,
        RETRAIN_WHEN,
        GATE,
        RESOURCES,
    )
    RECORD: Final = Record(
        name="model",
        what="a model",
        fields=(DATASET, TARGET, FEATURES, INPUTS, *_SHARED),
        hints=MODEL_FIELDS,
    )
    DEFAULTS: Final = Record(
        name="defaults",
        what="the defaults",
        fields=_SHARED,
        hints=dict.fromkeys(("dataset", "target", "features", "inputs"), "write it in each model"),
    )


class Top:
    """The fields of the whole file."""

    MANIFEST: Final = Field(
        name="manifest",
        shape=Exactly(value=1, next_step="write `manifest: 1`; this program reads no other version"),
        about="The version of this grammar: 1",
        required=True,
    )
    NAME: Final = Field(name="name", shape=NAME_SHAPE, about="The name of the graph of models", required=True)
    STORE: Final = Field(
        name="store",
        shape=Text(expected="a folder or URL"),
        about="Where fits and releases are kept: a folder relative to the manifest, or a URL",
        default="none: give --store",
    )
    TIMEZONE: Final = Field(
        name="timezone", shape=Timezone(), about="The time zone in which days begin", default="UTC"
    )
    SEED: Final = count("seed", "What everything random is derived from", "0", least=0, most=2**32 - 1)
    LAST: Final = count("last", "The newest fits of each column", required=True)
    KEEP_FITS: Final = Field(
        name="keep_fits",
        shape=Either(
            short=Choice(options=("none", "all")),
            mapping=Record(name="keep_fits", what="kept fits", fields=(LAST,)),
        ),
        about="Of which fits that only make columns the models are kept; what is missing is fitted again",
        default="{last: 2}",
    )
    INCLUDE: Final = Field(
        name="include",
        shape=ListOf(item=Text(expected="a file or a pattern of files"), expected="files", minimum=1),
        about="More files with datasets and models, in the manifest's folder or below it",
        default="none",
    )
    DATASETS: Final = Field(
        name="datasets",
        shape=MapOf(
            names=NAME_SHAPE, value=Datasets.RECORD, expected="a mapping from names to datasets", minimum=1
        ),
        about="The tables",
        required=True,
    )
    VALIDATION: Final = Field(
        name="validation",
        shape=SchemeShape(),
        about="How models are validated",
        default="time where the dataset has `time`, else folds",
    )
    DEFAULTS: Final = Field(
        name="defaults",
        shape=Models.DEFAULTS,
        about="Fields of every model that does not write its own",
    )
    MODELS: Final = Field(
        name="models",
        shape=MapOf(
            names=NAME_SHAPE, value=Models.RECORD, expected="a mapping from names to models", minimum=1
        ),
        about="The models",
        required=True,
    )
    RECORD: Final = Record(
        name="manifest",
        what="the manifest",
        fields=(
            MANIFEST,
            NAME,
            STORE,
            TIMEZONE,
            SEED,
            KEEP_FITS,
            INCLUDE,
            DATASETS,
            VALIDATION,
            DEFAULTS,
            MODELS,
        ),
    )
