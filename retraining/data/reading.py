"""Reads a dataset's files into a `Table`: Parquet, CSV and JSON Lines; one file, a folder or a glob.

Types come from the files (Parquet) or are inferred once over all of them (CSV, JSON Lines), unless
the manifest's `types` says otherwise. Nothing is coerced silently: a value that does not fit its
column's type is an error that names the file and the column.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from retraining.data.conversion import check_unit, column_kind, to_column, to_numpy
from retraining.data.files import SUFFIXES, DataFile, content, head, told_of
from retraining.data.objects import ObjectFile
from retraining.data.tables import Table
from retraining.errors import DataError
from retraining.manifest.values import ColumnType, Dataset, FileFormat

# A dataset in a bucket may be many small objects, and most of the time of each is waiting for the server.
_FILES_AT_ONCE = 4
_TYPES: Mapping[ColumnType, pa.DataType] = {
    "int": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "category": pa.string(),
}


def read_schema(dataset: Dataset, files: Sequence[DataFile]) -> pa.Schema:
    """The columns of the dataset and their Arrow types, reading as little as the format allows.

    A column without a value in the first file has the type that it has in the next one with values.
    Raises `DataError` for files that cannot be read, and where there are no rows.
    """
    fields: dict[str, pa.Field] = {}
    rows = 0
    for index, file in enumerate(files):
        schema, count = _file_schema(dataset, file)
        rows += count
        for field in schema:
            if index == 0 or (field.name in fields and pa.types.is_null(fields[field.name].type)):
                fields[field.name] = field
        if rows and not any(pa.types.is_null(field.type) for field in fields.values()):
            break
    if not rows:
        raise DataError(f"dataset {dataset.name}: there are no rows in {files[0]}", "write at least one row")
    return pa.schema(
        pa.field(f.name, _TYPES[dataset.types[f.name]] if f.name in dataset.types else f.type)
        for f in fields.values()
    )


def _file_schema(dataset: Dataset, file: DataFile) -> tuple[pa.Schema, int]:
    """The types of a file's columns as it has them, and the number of its rows."""
    kind = _format(dataset, file)
    if kind != "parquet":
        table = _read_file(dataset, file, kind, None)
        return table.schema, table.num_rows
    opened = _guarded(dataset, file, _open_parquet)
    _refuse_repeated(dataset, file, opened.schema_arrow.names)
    return opened.schema_arrow, opened.metadata.num_rows


def column_names(dataset: Dataset, files: Sequence[DataFile]) -> tuple[str, ...]:
    """The names of the first file's columns, whatever they hold; errors as `read_schema`."""
    if _format(dataset, files[0]) == "csv":
        return tuple(_guarded(dataset, files[0], lambda file: _csv_names(dataset, file)))
    return tuple(_file_schema(replace(dataset, types={}), files[0])[0].names)


def read_table(dataset: Dataset, files: Sequence[DataFile], columns: Collection[str], timezone: str) -> Table:
    """The named columns of the dataset, rows sorted by key.

    Moments without a zone are read in `timezone`. Raises `DataError` for files that cannot be read,
    missing keys and duplicate keys.
    """
    return to_table(dataset, read_arrow(dataset, files, columns), columns, timezone)


def read_arrow(dataset: Dataset, files: Sequence[DataFile], columns: Collection[str]) -> pa.Table:
    """The named columns of the dataset as its files have them, rows in the order of the files."""
    kind = _format(dataset, files[0])
    # types are those of the whole dataset, so that a file with only whole numbers fits one with fractions
    wanted = sorted(columns)
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        # files on a disk are read one after the other: pyarrow reads each with all cores
        remote = any(isinstance(file, ObjectFile) for file in files)
        each = pool.map if remote else map
        parts = list(each(lambda file: _read_rows(dataset, file, kind, wanted), files))
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
    converted = {name: to_column(dataset, name, arrow.column(name), timezone) for name in sorted(columns)}
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
            same &= to_numpy(equal.combine_chunks()).astype(bool)
        if same.any():
            at = int(np.flatnonzero(same)[0])
            example = ", ".join(f"{name}={arrow.column(name)[at].as_py()}" for name in dataset.key)
            raise DataError(
                f"dataset {dataset.name}: {_counted(int(same.sum()))} the key of another row, first {example}",
                f"remove the duplicates, or name under `datasets.{dataset.name}.key` the columns that "
                "identify a row",
            )
    return order


def _counted(rows: int) -> str:
    return "1 row repeats" if rows == 1 else f"{rows:,} rows repeat"


def _format(dataset: Dataset, file: DataFile) -> FileFormat:
    kind = dataset.format or SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise DataError(
            f"dataset {dataset.name}: cannot tell the format of {file.name} by its suffix",
            f"end its name in .parquet, .csv or .jsonl, or write `format` under `datasets.{dataset.name}`",
        )
    return kind


def _guarded(dataset: Dataset, file: DataFile, action: Callable[[DataFile], Any]) -> Any:
    try:
        return told_of(dataset, lambda: action(file))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"dataset {dataset.name}: {file} cannot be read: {detail}",
            "mend the file, or set `format`, `types` or `missing` of the dataset",
        ) from error


def _read_rows(dataset: Dataset, file: DataFile, kind: FileFormat, columns: list[str]) -> pa.Table:
    """Some columns of a file, of which nothing is kept then."""
    table = _read_file(dataset, file, kind, columns)
    if isinstance(file, ObjectFile):
        file.forget()
    return table


def _read_file(dataset: Dataset, file: DataFile, kind: FileFormat, columns: list[str] | None) -> pa.Table:
    readers = {"parquet": _read_parquet, "csv": _read_csv, "jsonl": _read_jsonl}
    table: pa.Table = _guarded(dataset, file, lambda path: readers[kind](dataset, path, columns))
    return cast_columns(dataset, file.name, table)


def _read_parquet(dataset: Dataset, file: DataFile, columns: list[str] | None) -> pa.Table:
    opened = _open_parquet(file, columns)
    _refuse_repeated(dataset, file, opened.schema_arrow.names)
    _require(dataset, file, opened.schema_arrow.names, columns)
    return opened.read(columns=columns)


def _open_parquet(file: DataFile, columns: Collection[str] | None = None) -> pq.ParquetFile:
    # ParquetFile, not read_table: the latter imports pandas where it is installed
    return file.open_parquet(columns) if isinstance(file, ObjectFile) else pq.ParquetFile(file)


def _csv_names(dataset: Dataset, file: DataFile) -> list[str]:
    """The names in the first line of a CSV file, without those that are empty."""
    if head(file, 2) in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"dataset {dataset.name}: {file} is UTF-16", "save it as UTF-8")
    with pa.csv.open_csv(content(file)) as opened:
        written = list(opened.schema.names)
    names = [name for name in written if name]
    other = next((mark for mark in (";", "\t", "|") if len(written) == 1 and mark in written[0]), None)
    if other is not None:
        raise DataError(
            f"dataset {dataset.name}: {file} has one column, {written[0]!r}, so its values seem to be "
            f"separated by {other!r}",
            "separate the values of a CSV file by commas, or write Parquet",
        )
    _refuse_repeated(dataset, file, names)
    return names


def _refuse_repeated(dataset: Dataset, file: DataFile, names: Sequence[str]) -> None:
    repeated = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if repeated is not None:
        raise DataError(
            f"dataset {dataset.name}: {file} has more than one column {repeated!r}",
            "give each column of the file a name of its own",
        )


def _read_csv(dataset: Dataset, file: DataFile, columns: list[str] | None) -> pa.Table:
    names = _csv_names(dataset, file)
    _require(dataset, file, names, columns)
    # timestamps are parsed after reading, so that zones and dates are treated alike in every format
    late = ("date", "timestamp", "bool")
    declared = {name: pa.string() if kind in late else _TYPES[kind] for name, kind in dataset.types.items()}
    convert = pa.csv.ConvertOptions(
        column_types=declared,
        null_values=list(dataset.missing),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        include_columns=names if columns is None else columns,
    )
    table = pa.csv.read_csv(content(file), convert_options=convert)
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
    written = pa.csv.read_csv(content(file), convert_options=as_text)
    for name in codes:
        # 007, 0x10 and whole numbers too long for a float are no numbers: they stay as they are written
        pattern = (
            r"^[+-]?0[0-9xX]" if pa.types.is_integer(table.schema.field(name).type) else r"^[+-]?[0-9]{16,}$"
        )
        if pc.any(pc.match_substring_regex(written.column(name), pattern), min_count=0).as_py():
            table = table.set_column(table.column_names.index(name), name, written.column(name))
    return table


def _too_wide(column: pa.ChunkedArray) -> bool:
    """True for numbers that a float cannot tell from their neighbours."""
    if not pa.types.is_floating(column.type):
        return False
    largest = pc.max(pc.abs(column)).as_py()
    return largest is not None and largest >= 2.0**53


def _read_jsonl(dataset: Dataset, file: DataFile, columns: list[str] | None) -> pa.Table:
    start = head(file, 64)
    if not start:
        raise DataError(f"dataset {dataset.name}: {file} is empty", "write at least one row")
    if start.lstrip().startswith(b"["):
        raise DataError(
            f"dataset {dataset.name}: {file} is one JSON array",
            "write JSON Lines: one object a line, without brackets and commas around them",
        )
    table = pa.json.read_json(content(file))
    _require(dataset, file, table.column_names, columns)
    table = table if columns is None else table.select(columns)
    moments = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    if not moments:
        return table
    # the reader takes texts for moments and forgets their zones: read those columns as they are written
    options = pa.json.ParseOptions(explicit_schema=pa.schema([(name, pa.string()) for name in moments]))
    written = pa.json.read_json(content(file), parse_options=options)
    for name in moments:
        text = dataset.types.get(name) in ("string", "category")
        column = written.column(name) if text else _with_zone(written.column(name), table.column(name))
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _with_zone(written: pa.ChunkedArray, parsed: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts as moments in UTC where all have a zone, as parsed where none has, and as they are where some have."""
    zoned = pc.match_substring_regex(written, r"\d\d:\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$")
    if pc.all(zoned).as_py():
        return parsed.cast(pa.timestamp("us", "UTC"))
    return written if pc.any(zoned).as_py() else parsed


def _require(dataset: Dataset, file: DataFile, present: Sequence[str], columns: list[str] | None) -> None:
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
        if kind in ("date", "timestamp") and pa.types.is_integer(column.type):
            check_unit(dataset, name, column)
        try:
            table = table.set_column(index, name, column.cast(wanted))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise DataError(
                f"dataset {dataset.name}: {source}, column {name} is not {kind}: {str(error).splitlines()[0]}",
                f"mend the values or `datasets.{dataset.name}.types.{name}`",
            ) from error
    return table
