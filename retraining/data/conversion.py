"""Arrow columns as the columns of a `Table`: numbers, texts as codes, moments in UTC."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json

from retraining.data.tables import NO_MOMENT, Column
from retraining.errors import DataError
from retraining.manifest.values import Dataset


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


def to_column(dataset: Dataset, name: str, chunked: pa.ChunkedArray, timezone: str) -> Column:
    """A column of a dataset in the order given; `DataError` for a type that is none of ours."""
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
        return Column(kind="bool", values=to_numpy(array.cast(pa.int8()).cast(pa.float64())))
    if kind == "number":
        whole = pa.types.is_integer(array.type) and array.null_count == 0 and array.type != pa.uint64()
        return Column(
            kind="number", values=to_numpy(array.cast(pa.int64() if whole else pa.float64(), safe=False))
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
    codes = to_numpy(encoded.indices, len(texts))
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
    return to_numpy(whole, NO_MOMENT)


#: Seconds since 1970 at the begin of 1980 and of 2200: whole numbers of a unit that is taken for another lie outside.
_PLAUSIBLE = (315_532_800, 7_258_118_400)
_UNITS = {"s": ("seconds", 1), "ms": ("milliseconds", 10**3), "ns": ("nanoseconds", 10**9)}


def check_unit(dataset: Dataset, name: str, column: pa.ChunkedArray) -> None:
    """Raises where whole numbers that are read as microseconds since 1970 count something else by the look of them."""
    newest = pc.max(column).as_py()
    first, last = _PLAUSIBLE
    if newest is None or first * 10**6 <= newest < last * 10**6:
        return
    fits = [(code, word) for code, (word, by) in _UNITS.items() if first * by <= newest < last * by]
    code, word = fits[0] if fits else ("s", "")
    as_it_is = f"they look like {word}" if fits else "the newest is in no year from 1980 to 2199"
    raise DataError(
        f"dataset {dataset.name}: column {name} holds whole numbers, which count as microseconds since 1970, "
        f"and {as_it_is} ({newest})",
        f"write moments into the file, for example with pandas.to_datetime(frame.{name}, unit={code!r}, utc=True)",
    )


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


def to_numpy(array: pa.Array, missing: float = np.nan) -> np.ndarray:
    """The values, with `missing` for nulls. Whatever makes Arrow look at a Python or NumPy object loads pandas."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    kind = np.dtype("float64" if pa.types.is_float64(array.type) else str(array.type))
    buffer = array.buffers()[1]
    if not len(array) or buffer is None:
        return np.empty(0, kind)
    values = np.frombuffer(buffer, kind, count=len(array), offset=array.offset * kind.itemsize)
    return np.where(to_numpy(array.is_null()) > 0, kind.type(missing), values) if array.null_count else values


def from_column(column: Column) -> pa.Array:
    """A column's values as the data has them, null where they are missing."""
    missing = column.missing()
    if column.kind == "category":
        texts = pa.array(column.categories, pa.string())
        codes = pa.array(np.maximum(column.values.astype(np.int64), 0), mask=missing)
        return texts.take(codes) if len(texts) else pa.nulls(len(missing), pa.string())
    if column.kind == "timestamp":
        return pa.array(column.values.astype("datetime64[us]"), pa.timestamp("us", tz="UTC"), mask=missing)
    if column.kind == "bool":
        return pa.array(np.nan_to_num(column.values.astype(np.float64)).astype(bool), mask=missing)
    return pa.array(column.values, mask=missing)
