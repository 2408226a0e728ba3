"""A table of predictions as a file, in a folder or in a bucket: Parquet or CSV by the suffix, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from retraining.errors import InputError
from retraining.store.buckets import OpenBucket, open_bucket
from retraining.store.cloud.addresses import is_bucket_url, parse_data_address

_PARQUET = (".parquet", ".pq")


def check_output(place: str, inputs: Iterable[str] = ()) -> None:
    """Raises `InputError` where nothing can be written at a place, before anything is computed for it."""
    if _suffix(place) not in (*_PARQUET, ".csv"):
        raise InputError(
            f"cannot tell the format of {place} by its suffix", "end its name in .parquet or .csv"
        )
    if is_bucket_url(place):
        key = parse_data_address(place).prefix
        if not key or key.endswith("/"):
            raise InputError(f"{place} names no object", "add the name of the new object to it")
        if place in inputs:
            raise _is_input(place)
        return
    path = Path(place)
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"lies in {path.parent}, which is not a folder"
        raise InputError(f"{path} {what}", "name a file in a folder that exists")
    if path.exists() and any(one.exists() and one.samefile(path) for one in map(Path, inputs)):
        raise _is_input(place)


def _is_input(place: str) -> InputError:
    return InputError(f"{place} is one of the tables to predict", "write the predictions to another file")


def write_predictions(table: pa.Table, place: str, *, opener: OpenBucket = open_bucket) -> None:
    """Writes a table to a place that `check_output` accepts; what was there is replaced at the end."""
    if is_bucket_url(place):
        address, buffer = parse_data_address(place), io.BytesIO()
        _write(table, _suffix(place), buffer)
        opener(address).write(address.prefix, buffer.getvalue())
        return
    path = Path(place)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as sink:
            _write(table, _suffix(place), sink)
        partial.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}", "name another file"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _write(table: pa.Table, suffix: str, sink: BinaryIO) -> None:
    if suffix in _PARQUET:
        pq.write_table(table, sink)
    else:
        pa.csv.write_csv(table, sink)


def _suffix(place: str) -> str:
    return PurePosixPath(place).suffix.lower()


def csv_text(table: pa.Table) -> str:
    """The table as CSV with a header."""
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer)
    return buffer.getvalue().decode()
