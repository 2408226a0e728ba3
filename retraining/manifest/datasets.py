"""Datasets in the grammar."""

from __future__ import annotations

from typing import Final

from retraining.manifest.composites import ListOf, MapOf
from retraining.manifest.fields import word
from retraining.manifest.inputs import COLUMNS_SHAPE
from retraining.manifest.records import Field, Record
from retraining.manifest.schemes import SchemeShape
from retraining.manifest.shapes import Choice, Text, Written
from retraining.manifest.words import COLUMN_SHAPE

__all__ = ["Datasets"]


class Datasets:
    """The fields of an entry under `datasets`."""

    PATH: Final = Field(
        name="path",
        shape=Text(expected="a file, folder, glob or URL"),
        about="Where the table is: a file, folder or glob relative to the manifest, or in a bucket (s3://, gs://, az://)",
        required=True,
    )
    FORMAT: Final = word(
        "format", ("parquet", "csv", "jsonl"), "How the table is stored", "by the file's suffix"
    )
    TYPES: Final = Field(
        name="types",
        shape=MapOf(
            names=COLUMN_SHAPE,
            value=Choice(options=("int", "float", "string", "bool", "date", "timestamp", "category")),
            expected="a mapping from columns to types",
        ),
        about="Types of columns that the file does not type as meant",
        default="as the file has them",
    )
    MISSING: Final = Field(
        name="missing",
        shape=ListOf(
            item=Written(expected="a text as the file writes it", null=True),
            expected="texts",
            as_written=True,
        ),
        about="Texts of a CSV file that mean a missing value",
        default='[""]',
    )
    KEY: Final = Field(
        name="key", shape=COLUMNS_SHAPE, about="The columns that together identify a row", required=True
    )
    TIME: Final = Field(
        name="time",
        shape=COLUMN_SHAPE,
        about="The column of the moment at which a row's features are known and its prediction is made",
        default="none, and so no time scheme",
    )
    INGESTED: Final = Field(
        name="ingested",
        shape=COLUMN_SHAPE,
        about="The column of the moment before which the row does not exist",
        default="a row exists from its time on",
    )
    GROUP: Final = Field(
        name="group",
        shape=COLUMN_SHAPE,
        about="The column whose rows of one value stay in one fold",
        default="the key",
    )
    VALIDATION: Final = Field(
        name="validation",
        shape=SchemeShape(),
        about="How models on this dataset are validated",
        default="the manifest's `validation`",
    )
    RECORD: Final = Record(
        name="dataset",
        what="a dataset",
        fields=(PATH, FORMAT, TYPES, MISSING, KEY, TIME, INGESTED, GROUP, VALIDATION),
    )
