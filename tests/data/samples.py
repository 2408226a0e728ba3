"""Datasets and tables by hand."""

from __future__ import annotations

import datetime as dt

import numpy as np

from retraining.data.tables import NO_MOMENT, Column, Table
from retraining.manifest.values import Dataset


def dataset(path="d.csv", **more):
    return Dataset(name="d", path=str(path), key=more.pop("key", ("id",)), **more)


def number(values):
    array = np.array(values)
    return Column(kind="number", values=array if array.dtype == np.int64 else array.astype(np.float64))


def texts(values):
    found = sorted({value for value in values if value is not None})
    codes = [found.index(value) if value is not None else -1 for value in values]
    return Column(kind="category", values=np.array(codes, np.int32), categories=tuple(found))


def moments(values):
    return Column(
        kind="timestamp", values=np.array([NO_MOMENT if v is None else micros(v) for v in values], np.int64)
    )


def micros(value):
    moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def table(**columns):
    return Table(dataset="d", key=("id",), columns=columns, n_rows=len(next(iter(columns.values())).values))
