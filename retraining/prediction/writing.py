"""A table of predictions as a file: Parquet or CSV by the suffix, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from retraining.errors import InputError

_PARQUET = (".parquet", ".pq")


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Raises `InputError` where nothing can be written at a path, before anything is computed for it."""
    if path.suffix.lower() not in (*_PARQUET, ".csv"):
        raise InputError(
            f"cannot tell the format of {path} by its suffix", "end its name in .parquet or .csv"
        )
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"lies in {path.parent}, which is not a folder"
        raise InputError(f"{path} {what}", "name a file in a folder that exists")
    if path.exists() and any(one.exists() and one.samefile(path) for one in inputs):
        raise InputError(f"{path} is one of the tables to predict", "write the predictions to another file")


def write_predictions(table: pa.Table, path: Path) -> None:
    """Writes a table to a path that `check_output` accepts; a file that was there is replaced at the end."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        if path.suffix.lower() in _PARQUET:
            pq.write_table(table, partial)
        else:
            pa.csv.write_csv(table, partial)
        partial.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}", "name another file"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def csv_text(table: pa.Table) -> str:
    """The table as CSV with a header."""
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer)
    return buffer.getvalue().decode()
