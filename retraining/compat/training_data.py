"""A file of labelled rows -> a list of `{"features": ..., "label": ...}`.

Invariant: every row that is returned has as many features as the first and a usable label; what is
wrong with a file is reported with its line or row. Rows of a CSV or Parquet table have their features
as a list that remembers the column names; records without `features` have them as a mapping.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retraining.compat.csv_table import parse_cells, read_csv
from retraining.compat.labels import plain_label
from retraining.compat.table import FeatureRow
from retraining.errors import DataError, InputError

__all__ = ["TrainingDataManager"]

_LOGGER = logging.getLogger(__name__)
_SCALARS = (str, int, float, bool, type(None))


class TrainingDataManager:
    """Reads training data; replace it by a class with the same method to read from elsewhere."""

    @staticmethod
    def load_training_data(training_data_path: str | os.PathLike[str]) -> list[dict[str, Any]]:
        """The labelled rows of a JSON, JSON Lines, CSV, TSV or Parquet file, in the file's order.

        A missing feature is None. The label of a table is its column `label`, else its last column.
        Raises DataError with the line or row for anything that is not such a file.
        """
        path = _existing_file(training_data_path)
        try:
            if path.suffix.lower() in {".parquet", ".pq"}:
                return _from_parquet(path)
            text = _read_text(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
        return _from_text(text, path)


def _existing_file(given: object) -> Path:
    if not isinstance(given, str | os.PathLike) or not str(given):
        raise InputError(f"the path of the training data is {given!r}, expected a file's path")
    path = Path(os.path.expanduser(given))
    if path.is_dir():
        raise DataError(f"{path} is a folder, expected a file with training data")
    if not path.exists():
        folder = path.parent
        if not folder.is_dir():
            raise DataError(f"{path} does not exist: there is no folder {folder}")
        near = difflib.get_close_matches(path.name, sorted(entry.name for entry in folder.iterdir()), n=3)
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else "check the path; it is relative to the working folder"
        )
        raise DataError(f"{path} does not exist", hint)
    return path


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text (byte {error.start})",
            "save it as UTF-8, or as .parquet where it is Parquet",
        ) from None
    if "\0" in text:
        raise DataError(f"{path} holds NUL characters, expected UTF-8 text", "save it as UTF-8, not UTF-16")
    if not text.strip():
        raise DataError(f"{path} is empty, expected rows of features and labels")
    return text


def _from_text(text: str, path: Path) -> list[dict[str, Any]]:
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            return _from_records(*_json_lines(text, path), path)
        case ".csv":
            return _from_csv(text, path, None)
        case ".tsv":
            return _from_csv(text, path, "\t")
        case ".json":
            return _from_records(*_json_rows(text, path), path)
    if text.lstrip()[0] in "[{":
        return _from_records(*_json_rows(text, path), path)
    return _from_csv(text, path, None)


def _json_rows(text: str, path: Path) -> tuple[list[Any], list[str]]:
    """The rows of a JSON document, and what to call each of them in a message."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # several documents: JSON Lines under another suffix
            return _json_lines(text, path)
        raise DataError(f"{path}, line {error.lineno}: not readable as JSON ({error.msg})") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error})") from None
    if isinstance(document, Mapping) and isinstance(document.get("data"), list):
        document = document["data"]
    elif isinstance(document, Mapping) and "label" in document:
        document = [document]  # JSON Lines with a single line
    if not isinstance(document, list):
        found = (
            f"an object with {', '.join(map(str, document))}" if isinstance(document, Mapping) else "no list"
        )
        raise DataError(f'{path}: found {found}, expected a list of rows, or {{"data": [rows]}}')
    return document, [f"{path}, row {number}" for number in range(1, len(document) + 1)]


def _json_lines(text: str, path: Path) -> tuple[list[Any], list[str]]:
    rows, places = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (RecursionError, ValueError) as error:
                reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                raise DataError(f"{path}, line {number}: not readable as JSON ({reason})") from None
            places.append(f"{path}, line {number}")
    return rows, places


def _from_records(rows: Sequence[Any], places: Sequence[str], path: Path) -> list[dict[str, Any]]:
    if not rows:
        raise DataError(f"{path} has no rows")
    flat = isinstance(rows[0], Mapping) and _is_flat(rows[0])
    result: list[dict[str, Any]] = []
    for row, place in zip(rows, places, strict=True):
        if not isinstance(row, Mapping):
            raise DataError(f'{place}: found {_short(row)}, expected {{"features": [...], "label": ...}}')
        if "label" not in row:
            raise DataError(f"{place} has no 'label'{_nearest('label', row)}")
        features = _flat_features(row) if flat else _features(row, place)
        if result:
            _check_same_shape(features, result[0]["features"], place)
        result.append({"features": features, "label": plain_label(row["label"], where=place)})
    return result


def _is_flat(row: Mapping[str, Any]) -> bool:
    """Whether the row is a record such as {"age": 3, "label": 0}, without a `features` of its own."""
    return (
        "features" not in row and len(row) > 1 and all(isinstance(value, _SCALARS) for value in row.values())
    )


def _flat_features(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "label"}


def _features(row: Mapping[str, Any], place: str) -> list[Any] | dict[str, Any]:
    if "features" not in row:
        raise DataError(f"{place} has no 'features'{_nearest('features', row)}")
    features = row["features"]
    if not isinstance(features, list | dict):
        raise DataError(f"{place}: 'features' is {_short(features)}, expected a list or an object of values")
    if not features:
        raise DataError(f"{place}: 'features' is empty, expected at least one value")
    return features


def _check_same_shape(
    features: list[Any] | dict[str, Any], first: list[Any] | dict[str, Any], place: str
) -> None:
    if isinstance(features, dict) and isinstance(first, dict):
        if features.keys() == first.keys():
            return
        odd = sorted(features.keys() ^ first.keys())[0]
        raise DataError(f"{place}: the feature {odd!r} is in this row or in the first, not in both")
    if isinstance(features, dict) or isinstance(first, dict):
        raise DataError(f"{place}: 'features' is not of the same kind (list or object) as in the first row")
    if len(features) != len(first):
        raise DataError(
            f"{place} has {len(features)} feature(s), and the first row has {len(first)}",
            "give every row the same number of features; write null where a value is missing",
        )


def _nearest(name: str, row: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, [str(key) for key in row], n=1)
    return f" (did you mean it by {near[0]!r}?)" if near else ""


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:37] + "..."


def _from_csv(text: str, path: Path, delimiter: str | None) -> list[dict[str, Any]]:
    table = read_csv(text, file=str(path), delimiter=delimiter)
    label = _label_column(table.names, path)
    columns = [
        parse_cells(cells, name=name, keep_zeros=index == label)
        for index, (name, cells) in enumerate(zip(table.names, table.cells, strict=True))
    ]
    places = [f"{path}, line {line}" for line in table.lines]
    return _from_columns(table.names, columns, label, places)


def _label_column(names: Sequence[str], path: Path) -> int:
    if "label" in names:
        return list(names).index("label")
    _LOGGER.info("%s: the label is the last column, %r (no column is named 'label')", path, names[-1])
    return len(names) - 1


def _from_columns(
    names: Sequence[str], columns: Sequence[Sequence[Any]], label: int, places: Sequence[str]
) -> list[dict[str, Any]]:
    feature_names = tuple(name for index, name in enumerate(names) if index != label)
    features = zip(*(column for index, column in enumerate(columns) if index != label), strict=True)
    return [
        {"features": FeatureRow(row, feature_names), "label": plain_label(value, where=place)}
        for row, value, place in zip(features, columns[label], places, strict=True)
    ]


def _from_parquet(path: Path) -> list[dict[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(f"{path} is not readable as Parquet ({error})") from None
    names = [str(name) for name in table.column_names]
    places = [f"{path}, row {row}" for row in range(1, table.num_rows + 1)]
    if {"features", "label"} <= set(names):
        return _from_records(table.select(["features", "label"]).to_pylist(), places, path)
    if not places or len(names) < 2:
        raise DataError(
            f"{path} has {len(places)} row(s) and {len(names)} column(s), expected features and a label"
        )
    return _from_columns(
        names, [column.to_pylist() for column in table.columns], _label_column(names, path), places
    )
