"""Reads a dataset's files into a `Table`: Parquet, CSV and JSON Lines; one file, a folder or a glob.

Types come from the files (Parquet) or are inferred once over all of them (CSV, JSON Lines), unless
the manifest's `types` says otherwise. Nothing is coerced silently: a value that does not fit its
column's type is an error that names the file and the column.
"""

from __future__ import annotations

import datetime as dt
import glob
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from retraining.data.tables import NO_MOMENT, Column, Table
from retraining.errors import DataError
from retraining.manifest.values import ColumnType, Dataset, FileFormat

_SUFFIXES: Mapping[str, FileFormat] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_TYPES: Mapping[ColumnType, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "category": pa.string(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSignature:
    """What the file system says of a file: it changes whenever the content does (STORE 7)."""

    path: str
    size: int
    modified_ns: int
    changed_ns: int
    inode: int


def find_files(dataset: Dataset, directory: Path, override: str | None = None) -> tuple[Path, ...]:
    """The dataset's files, sorted; `override` (`--data NAME=PATH`) is relative to the working directory."""
    written = override if override is not None else dataset.path
    if "://" in written and not written.startswith("file://"):
        raise DataError(
            f"dataset {dataset.name}: {written.split('://', 1)[0]}:// paths cannot be read yet",
            "copy the files to a local folder and name it as `path`",
        )
    base = Path(written.removeprefix("file://")).expanduser()
    path = base if base.is_absolute() or override is not None else directory / base
    if path.is_file():
        return (path,)
    if path.is_dir():
        names = sorted(p for p in path.rglob("*") if p.is_file() and _readable(p, dataset.format))
    else:
        names = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())
    if not names:
        what = "holds no data files" if path.is_dir() else "does not exist"
        raise DataError(
            f"dataset {dataset.name}: {path} {what}",
            f"write the file, mend `datasets.{dataset.name}.path`, or pass --data {dataset.name}=PATH",
        )
    return tuple(names)


def signatures(files: Sequence[Path]) -> tuple[FileSignature, ...]:
    """The signature of each file; raises `DataError` where one has gone."""
    found = []
    for file in files:
        try:
            stat = file.stat()
        except OSError as error:
            raise DataError(f"{file}: {error.strerror}", "make the file readable and run again") from error
        found.append(
            FileSignature(
                path=str(file.resolve()),
                size=stat.st_size,
                modified_ns=stat.st_mtime_ns,
                changed_ns=stat.st_ctime_ns,
                inode=stat.st_ino,
            )
        )
    return tuple(found)


def read_schema(dataset: Dataset, files: Sequence[Path]) -> pa.Schema:
    """The columns of the dataset and their Arrow types, reading as little as the format allows."""
    kind = _format(dataset, files[0])
    if kind == "parquet":
        schema = _guarded(dataset, files[0], lambda file: pq.ParquetFile(file).schema_arrow)
    else:
        schema = _read_file(dataset, files[0], kind, None).schema
    wanted = [
        pa.field(f.name, _TYPES[dataset.types[f.name]] if f.name in dataset.types else f.type) for f in schema
    ]
    return pa.schema(wanted)


def column_names(dataset: Dataset, files: Sequence[Path]) -> tuple[str, ...]:
    """The names of the first file's columns, whatever they hold; errors as `read_schema`."""
    if _format(dataset, files[0]) == "csv":
        return tuple(_guarded(dataset, files[0], _csv_names))
    return tuple(read_schema(replace(dataset, types={}), files).names)


def column_kind(field_type: pa.DataType) -> str:
    """The kind of a column of this Arrow type: number, bool, category, timestamp, date or other."""
    if pa.types.is_dictionary(field_type):
        return column_kind(field_type.value_type)
    checks = (
        ("bool", pa.types.is_boolean),
        ("number", pa.types.is_integer),
        ("number", pa.types.is_floating),
        ("number", pa.types.is_decimal),
        ("category", pa.types.is_string),
        ("category", pa.types.is_large_string),
        ("category", pa.types.is_string_view),
        ("timestamp", pa.types.is_timestamp),
        ("date", pa.types.is_date),
        ("category", pa.types.is_null),
    )
    return next((kind for kind, check in checks if check(field_type)), "other")


def read_table(dataset: Dataset, files: Sequence[Path], columns: Collection[str], timezone: str) -> Table:
    """The named columns of the dataset, rows sorted by key.

    Moments without a zone are read in `timezone`. Raises `DataError` for files that cannot be read,
    missing keys and duplicate keys.
    """
    return to_table(dataset, read_arrow(dataset, files, columns), columns, timezone)


def read_arrow(dataset: Dataset, files: Sequence[Path], columns: Collection[str]) -> pa.Table:
    """The named columns of the dataset as its files have them, rows in the order of the files."""
    kind = _format(dataset, files[0])
    # types are those of the whole dataset, so that a file with only whole numbers fits one with fractions
    parts = [_read_file(dataset, file, kind, sorted(columns)) for file in files]
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(
            f"dataset {dataset.name}: its {len(files)} files disagree on a column's type: {error}",
            f"give the column a type under `datasets.{dataset.name}.types`",
        ) from error


def to_table(dataset: Dataset, arrow: pa.Table, columns: Collection[str], timezone: str) -> Table:
    """The named columns of an Arrow table with the dataset's types, rows sorted by key; errors as `read_table`."""
    arrow = arrow.take(key_order(dataset, arrow)).combine_chunks()
    converted = {name: _column(dataset, name, arrow.column(name), timezone) for name in sorted(columns)}
    return Table(dataset=dataset.name, key=dataset.key, columns=converted, n_rows=arrow.num_rows)


def key_order(dataset: Dataset, arrow: pa.Table) -> pa.Array:
    """The positions of the rows in the order of the key; `DataError` for missing and repeated keys."""
    for name in dataset.key:
        missing = pc.sum(pc.is_null(arrow.column(name), nan_is_null=True), min_count=0).as_py()
        if missing:
            raise DataError(
                f"dataset {dataset.name}: the key column {name} is missing in {missing} of {arrow.num_rows} rows",
                "a key identifies each row: fill it in, or name other columns under `key`",
            )
    # a row number breaks no ties: duplicate keys are refused just below
    try:
        order = pc.sort_indices(arrow, sort_keys=[(name, "ascending") for name in dataset.key])
    except pa.ArrowException as error:
        raise DataError(
            f"dataset {dataset.name}: its key cannot be sorted: {str(error).splitlines()[0]}",
            "a key is made of numbers, texts or moments: name other columns under `key`",
        ) from error
    arrow = arrow.select(list(dataset.key)).take(order).combine_chunks()
    if arrow.num_rows > 1:
        same = np.ones(arrow.num_rows - 1, bool)
        for name in dataset.key:
            column = arrow.column(name)
            equal = pc.equal(column.slice(1), column.slice(0, arrow.num_rows - 1))
            same &= _numpy(equal.combine_chunks()).astype(bool)
        if same.any():
            at = int(np.flatnonzero(same)[0])
            example = ", ".join(f"{name}={arrow.column(name)[at].as_py()}" for name in dataset.key)
            raise DataError(
                f"dataset {dataset.name}: {int(same.sum())} rows repeat the key of another row, first {example}",
                f"remove the duplicates, or name under `datasets.{dataset.name}.key` the columns that "
                "identify a row",
            )
    return order


def _readable(path: Path, declared: FileFormat | None) -> bool:
    hidden = any(part.startswith((".", "_")) for part in path.parts[-1:])
    kind = _SUFFIXES.get(path.suffix.lower())
    return not hidden and kind is not None and (declared is None or declared == kind)


def _format(dataset: Dataset, file: Path) -> FileFormat:
    kind = dataset.format or _SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise DataError(
            f"dataset {dataset.name}: cannot tell the format of {file.name} by its suffix",
            f"end its name in .parquet, .csv or .jsonl, or write `format` under `datasets.{dataset.name}`",
        )
    return kind


def _guarded(dataset: Dataset, file: Path, action: Callable[[Path], Any]) -> Any:
    try:
        return action(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"dataset {dataset.name}: {file} cannot be read: {detail}",
            "mend the file, or set `format`, `types` or `missing` of the dataset",
        ) from error


def _read_file(dataset: Dataset, file: Path, kind: FileFormat, columns: list[str] | None) -> pa.Table:
    readers = {"parquet": _read_parquet, "csv": _read_csv, "jsonl": _read_jsonl}
    table: pa.Table = _guarded(dataset, file, lambda path: readers[kind](dataset, path, columns))
    return cast_columns(dataset, file.name, table)


def _read_parquet(dataset: Dataset, file: Path, columns: list[str] | None) -> pa.Table:
    # ParquetFile, not read_table: the latter imports pandas where it is installed
    opened = pq.ParquetFile(file)
    _require(dataset, file, opened.schema_arrow.names, columns)
    return opened.read(columns=columns)


def _csv_names(file: Path) -> list[str]:
    with pa.csv.open_csv(file) as head:
        return list(head.schema.names)


def _read_csv(dataset: Dataset, file: Path, columns: list[str] | None) -> pa.Table:
    _require(dataset, file, _csv_names(file), columns)
    # timestamps are parsed after reading, so that zones and dates are treated alike in every format
    late = ("date", "timestamp", "bool")
    declared = {name: pa.string() if kind in late else _TYPES[kind] for name, kind in dataset.types.items()}
    convert = pa.csv.ConvertOptions(
        column_types=declared,
        null_values=list(dataset.missing),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        include_columns=columns,
    )
    table = pa.csv.read_csv(file, convert_options=convert)
    broken = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    if broken:
        raise pa.ArrowInvalid(f"column {broken[0]} is not UTF-8 text")
    codes = [
        field.name
        for field in table.schema
        if field.name not in dataset.types
        and (pa.types.is_integer(field.type) or _too_wide(table.column(field.name)))
    ]
    if not codes:
        return table
    as_text = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(codes, pa.string()),
        null_values=list(dataset.missing),
        strings_can_be_null=True,
        include_columns=codes,
    )
    written = pa.csv.read_csv(file, convert_options=as_text)
    for name in codes:
        # 007, 0x10 and whole numbers too long for a float are no numbers: they stay as they are written
        pattern = r"^[+-]?0[0-9xX]" if pa.types.is_integer(table.schema.field(name).type) else r"^[+-]?[0-9]{16,}$"
        if pc.any(pc.match_substring_regex(written.column(name), pattern), min_count=0).as_py():
            table = table.set_column(table.column_names.index(name), name, written.column(name))
    return table


def _too_wide(column: pa.ChunkedArray) -> bool:
    """True for numbers that a float cannot tell from their neighbours."""
    if not pa.types.is_floating(column.type):
        return False
    largest = pc.max(pc.abs(column)).as_py()
    return largest is not None and largest >= 2.0**53


def _read_jsonl(dataset: Dataset, file: Path, columns: list[str] | None) -> pa.Table:
    if file.stat().st_size == 0:
        raise DataError(f"dataset {dataset.name}: {file} is empty", "write at least one row")
    table = pa.json.read_json(file)
    _require(dataset, file, table.column_names, columns)
    table = table if columns is None else table.select(columns)
    moments = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    if not moments:
        return table
    # the reader takes texts for moments and forgets their zones: read those columns as they are written
    options = pa.json.ParseOptions(explicit_schema=pa.schema([(name, pa.string()) for name in moments]))
    written = pa.json.read_json(file, parse_options=options)
    for name in moments:
        text = dataset.types.get(name) in ("string", "category")
        column = written.column(name) if text else _with_zone(written.column(name), table.column(name))
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _with_zone(written: pa.ChunkedArray, parsed: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as moments in UTC where all have a zone, as parsed where none has, and as they are where some have."""
    zoned = pc.match_substring_regex(
        written, r"\d\d:\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$"
    )
    if pc.all(zoned).as_py():
        return parsed.cast(pa.timestamp("us", "UTC"))
    return written if pc.any(zoned).as_py() else parsed


def _require(dataset: Dataset, file: Path, present: Sequence[str], columns: list[str] | None) -> None:
    lacking = sorted(set(columns or ()) - set(present))
    if lacking:
        raise DataError(
            f"dataset {dataset.name}: {file.name} has no column {', '.join(lacking)}; "
            f"it has {', '.join(present)}",
            f"mend the file or the manifest's columns of `{dataset.name}`",
        )


def cast_columns(dataset: Dataset, source: str, table: pa.Table) -> pa.Table:
    """The table with the types that the dataset declares; `source` names it in the error of a value that fits not."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):  # sorting and concatenating know plain columns only
            table = table.set_column(index, field.name, table.column(index).cast(field.type.value_type))
    for name, kind in dataset.types.items():
        if name not in table.column_names:
            continue
        index = table.column_names.index(name)
        wanted = _TYPES[kind]
        column = table.column(index)
        if column.type == wanted or (
            kind in ("string", "category") and column_kind(column.type) == "category"
        ):
            continue
        if kind in ("date", "timestamp") and column_kind(column.type) in ("category", "timestamp", "date"):
            continue  # parsed in `_moments`, with the manifest's time zone
        try:
            table = table.set_column(index, name, column.cast(wanted))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"dataset {dataset.name}: {source}, column {name} is not {kind}: {str(error).splitlines()[0]}",
                f"mend the values or `datasets.{dataset.name}.types.{name}`",
            ) from error
    return table


def _column(dataset: Dataset, name: str, chunked: pa.ChunkedArray, timezone: str) -> Column:
    array = chunked.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks == 1 else pa.concat_arrays(array.chunks)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    moment = name in {dataset.time, dataset.ingested} or dataset.types.get(name) in ("date", "timestamp")
    kind = column_kind(array.type)
    if moment or kind in ("timestamp", "date"):
        return Column(kind="timestamp", values=_moments(dataset, name, array, timezone))
    if kind == "category":
        return _category(array.cast(pa.string()))
    if kind == "bool":
        return Column(kind="bool", values=_numpy(array.cast(pa.int8()).cast(pa.float64())))
    if kind == "number":
        whole = pa.types.is_integer(array.type) and array.null_count == 0 and array.type != pa.uint64()
        return Column(
            kind="number", values=_numpy(array.cast(pa.int64() if whole else pa.float64(), safe=False))
        )
    raise DataError(
        f"dataset {dataset.name}: column {name} has the type {array.type}, which is neither number, text, "
        "boolean nor moment",
        "flatten it into plain columns",
    )


def _category(array: pa.Array) -> Column:
    encoded = array.dictionary_encode()
    texts = [value.as_py() for value in encoded.dictionary]
    order = sorted(range(len(texts)), key=texts.__getitem__)
    rank = np.empty(len(texts) + 1, np.int32)
    rank[np.array(order, np.int64)] = np.arange(len(texts), dtype=np.int32)
    rank[-1] = -1
    codes = _numpy(encoded.indices, len(texts))
    return Column(kind="category", values=rank[codes], categories=tuple(texts[i] for i in order))


def _moments(dataset: Dataset, name: str, array: pa.Array, timezone: str) -> np.ndarray:
    try:
        if column_kind(array.type) == "category":
            array = _parse_moments(array, timezone)
        elif pa.types.is_date(array.type):
            array = array.cast(pa.timestamp("us"))
        elif not pa.types.is_timestamp(array.type):
            raise pa.ArrowInvalid(f"it is a {array.type}")
        if array.type.tz is None:
            array = _in_zone(array, timezone)
        whole = array.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DataError(
            f"dataset {dataset.name}: column {name} does not hold moments: {str(error).splitlines()[0]}",
            "write ISO 8601 (2013-05-20T14:00:00Z), or read it as a timestamp column of Parquet",
        ) from error
    return _numpy(whole, NO_MOMENT)


def _parse_moments(array: pa.Array, timezone: str) -> pa.Array:
    """Texts as moments: with a zone as they say, else in `timezone`; dates are midnights."""
    encoded = array.dictionary_encode()
    naive: list[dt.datetime | None] = []
    aware: list[dt.datetime | None] = []
    for value in encoded.dictionary:
        text = value.as_py()
        try:
            moment = dt.datetime.fromisoformat(text)
            instant = moment.astimezone(dt.UTC) if moment.tzinfo else None
        except (ValueError, OverflowError) as error:
            raise pa.ArrowInvalid(f"{text!r} is not an ISO 8601 moment") from error
        naive.append(None if moment.tzinfo else moment)
        aware.append(instant)
    # the same rules for the hour that is left out or happens twice as for columns that Arrow has parsed
    placed = _in_zone(pa.array(naive, pa.timestamp("us")), timezone).cast(pa.timestamp("us", "UTC"))
    return pc.coalesce(pa.array(aware, pa.timestamp("us", "UTC")), placed).take(encoded.indices)


def _in_zone(array: pa.Array, timezone: str) -> pa.Array:
    """Local moments as instants: the earlier where the clock shows an hour twice, after the gap where it skips one."""
    local = array.cast(pa.timestamp("us"), safe=False)
    return pc.assume_timezone(local, timezone, ambiguous="earliest", nonexistent="latest")


def _numpy(array: pa.Array, missing: float = np.nan) -> np.ndarray:
    """The values, with `missing` for nulls. Whatever makes Arrow look at a Python or NumPy object loads pandas."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    kind = np.dtype("float64" if pa.types.is_float64(array.type) else str(array.type))
    buffer = array.buffers()[1]
    if not len(array) or buffer is None:
        return np.empty(0, kind)
    values = np.frombuffer(buffer, kind, count=len(array), offset=array.offset * kind.itemsize)
    return np.where(_numpy(array.is_null()) > 0, kind.type(missing), values) if array.null_count else values
