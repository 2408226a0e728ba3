"""A dataset in memory: typed columns, rows in the order of the key.

Rows are sorted by key when a table is read, so that a row's position depends on its key alone and
never on the file's order. Every consumer (fits, digests, joins) relies on that order.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

ColumnKind: TypeAlias = Literal["number", "bool", "category", "timestamp"]

#: A missing moment (int64 microseconds since 1970, UTC).
NO_MOMENT = np.iinfo(np.int64).min
#: Whole numbers up to this are exact as float64.
_EXACT = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table, `(n_rows,)`.

    number: float64 (NaN is missing) or int64; bool: float64 0/1/NaN; category: int32 codes into
    `categories` (sorted texts; -1 is missing); timestamp: int64 microseconds UTC (`NO_MOMENT` is missing).
    """

    kind: ColumnKind
    values: NDArray[np.generic]
    categories: tuple[str, ...] = ()

    def take(self, rows: NDArray[np.intp]) -> Column:
        """The column restricted to `rows`."""
        return Column(kind=self.kind, values=self.values[rows], categories=self.categories)

    def missing(self) -> NDArray[np.bool_]:
        """True where the value is missing."""
        if self.kind == "category":
            return np.asarray(self.values.astype(np.int64) < 0)
        if self.kind == "timestamp":
            return np.asarray(self.values == NO_MOMENT)
        return np.isnan(self.values) if self.values.dtype == np.float64 else np.zeros(len(self.values), bool)

    def as_floats(self) -> NDArray[np.float64]:
        """The values as float64: numbers as they are, category codes with NaN for missing."""
        if self.kind == "category":
            codes = self.values.astype(np.float64)
            codes[codes < 0] = np.nan
            return codes
        return self.values.astype(np.float64, copy=False)

    def texts(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Codes and the texts they stand for, as a user writes the values in a manifest (-1: missing)."""
        if self.kind == "category":
            return self.values.astype(np.int64), self.categories
        missing = self.missing()
        distinct, codes = np.unique(self.values[~missing], return_inverse=True)
        out = np.full(len(self.values), -1, np.int64)
        out[~missing] = codes
        return out, tuple(_text(value, self.kind) for value in distinct)

    def words(self) -> NDArray[np.uint64]:
        """Eight bytes for each value that depend on the value alone, for digests and hashing.

        Category codes are decoded (a new category elsewhere must not change them), every NaN is the
        same NaN and -0.0 is 0.0.
        """
        if self.kind == "category":
            codes, places = np.unique(self.values.astype(np.int64), return_inverse=True)
            # only what occurs: a node's few rows may come from a column of very many categories
            table = np.array([_word(self.categories[c]) if c >= 0 else 0 for c in codes.tolist()], np.uint64)
            return table[places]
        if self.values.dtype == np.int64 and self.kind != "timestamp":
            # an integer column that once arrives as floats (one value missing) keeps its digests
            whole = np.asarray(self.values, np.int64)
            words = _float_words(whole.astype(np.float64))
            wide = (whole > _EXACT) | (whole < -_EXACT)
            words[wide] = whole[wide].view(np.uint64)  # a float cannot tell these from their neighbours
            return words
        if self.values.dtype == np.int64:
            return self.values.view(np.uint64)
        return _float_words(self.values.astype(np.float64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The positions of rows by the texts of their values in some columns.

    `texts` are each column's texts, sorted; `codes` the groups, each a number made of its places in
    `texts`, sorted; group i holds `order[starts[i]:starts[i + 1]]`. Rows that lack a value are in none.
    """

    texts: tuple[tuple[str, ...], ...]
    codes: NDArray[np.int64]
    starts: NDArray[np.int64]
    order: NDArray[np.intp]

    def rows(self, values: Sequence[str]) -> NDArray[np.intp]:
        """The positions of the rows that hold these values, one for each column, in the order of the table."""
        code = 0
        for value, texts in zip(values, self.texts, strict=True):
            place = bisect_left(texts, value)
            if place == len(texts) or texts[place] != value:
                return np.zeros(0, np.intp)
            code = code * len(texts) + place
        group = int(np.searchsorted(self.codes, code))
        if group == len(self.codes) or self.codes[group] != code:
            return np.zeros(0, np.intp)
        return self.order[self.starts[group] : self.starts[group + 1]]


def _grouped(columns: Sequence[Column]) -> Groups:
    combined = np.zeros(len(columns[0].values), np.int64)
    lacking = np.zeros(len(combined), bool)
    texts: list[tuple[str, ...]] = []
    for column in columns:
        codes, words = column.texts()
        # numbers are in their own order, and their texts are looked up in the order of texts
        places = np.argsort(np.array(words, dtype=object), kind="stable") if words else np.zeros(0, np.intp)
        rank = np.empty(len(words) + 1, np.int64)
        rank[places] = np.arange(len(words))
        rank[-1] = -1
        lacking |= codes < 0
        combined = combined * len(words) + rank[codes]
        texts.append(tuple(words[place] for place in places))
    wanted = np.flatnonzero(~lacking)
    order = wanted[np.argsort(combined[wanted], kind="stable")]
    found, starts = np.unique(combined[order], return_index=True)
    return Groups(texts=tuple(texts), codes=found, starts=np.append(starts, len(order)), order=order)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateLabels:
    """What feedback made of a label column, row by row, `(n_rows,)`.

    `labels` is the column with every label that came, changed or was taken away; `known` the moment at which
    feedback says that the row's label was known, `first` that of the first label that feedback had for it, `batch`
    the batch that brought it (`NO_MOMENT` and 0 where the row has its label from the table), and `replaced`
    whether it took the place of another label.
    """

    labels: Column
    known: NDArray[np.int64]
    first: NDArray[np.int64]
    batch: NDArray[np.int64]
    replaced: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> LateLabels:
        """The labels of `rows`."""
        return LateLabels(
            labels=self.labels.take(rows),
            known=self.known[rows],
            first=self.first[rows],
            batch=self.batch[rows],
            replaced=self.replaced[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns of a dataset that a manifest uses, rows sorted by key.

    `late` has the label columns that feedback changed. Whoever reads a column as a label asks `label`: a feature
    of the same column is what it was when the row's prediction was made.
    """

    dataset: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    n_rows: int
    late: Mapping[str, LateLabels] = field(default_factory=dict)
    _groups: dict[tuple[str, ...], Groups] = field(default_factory=dict, repr=False, compare=False)

    def groups(self, names: Sequence[str]) -> Groups:
        """The rows by their values in some columns, sorted once for all groups."""
        known = self._groups.get(tuple(names))
        if known is None:
            known = self._groups[tuple(names)] = _grouped([self.columns[name] for name in names])
        return known

    def label(self, name: str) -> Column:
        """A label column as feedback left it."""
        late = self.late.get(name)
        return self.columns[name] if late is None else late.labels

    def take(self, rows: NDArray[np.intp]) -> Table:
        """The table restricted to `rows` (which must keep the order)."""
        return Table(
            dataset=self.dataset,
            key=self.key,
            columns={name: column.take(rows) for name, column in self.columns.items()},
            n_rows=len(rows),
            late={name: late.take(rows) for name, late in self.late.items()},
        )


def key_hash(columns: Sequence[Column]) -> NDArray[np.uint64]:
    """A 64-bit hash of each row's values in `columns`, equal for equal values in any table."""
    state = np.full(len(columns[0].values), 0x9E3779B97F4A7C15, np.uint64)
    for column in columns:
        state = mix(state ^ mix(column.words()))
    return state


def match_codes(
    left: Sequence[Column], right: Sequence[Column]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Integers that are equal where two tables' key columns are equal, `-1` where a value is missing."""
    n_left = len(left[0].values)
    total = np.zeros(n_left + len(right[0].values), np.int64)
    missing = np.zeros(len(total), bool)
    for a, b in zip(left, right, strict=True):
        codes = _shared_codes(a, b)
        missing |= codes < 0
        width = int(codes.max(initial=0)) + 1
        total = np.unique(total * width + np.maximum(codes, 0), return_inverse=True)[1].astype(np.int64)
    total[missing] = -1
    return total[:n_left], total[n_left:]


def _shared_codes(a: Column, b: Column) -> NDArray[np.int64]:
    if a.kind == "category" and b.kind == "category":
        shared = sorted({*a.categories, *b.categories})
        position = {text: index for index, text in enumerate(shared)}
        tables = [
            np.array([position[text] for text in column.categories] + [-1], np.int64) for column in (a, b)
        ]
        return np.concatenate([tables[0][a.values.astype(np.int64)], tables[1][b.values.astype(np.int64)]])
    if (a.kind == "category") != (b.kind == "category"):
        # written as text in one table and as a number in the other: compare as written
        (codes_a, texts_a), (codes_b, texts_b) = a.texts(), b.texts()
        return _shared_codes(
            Column(kind="category", values=codes_a, categories=texts_a),
            Column(kind="category", values=codes_b, categories=texts_b),
        )
    missing = np.concatenate([a.missing(), b.missing()])
    values = np.concatenate([a.values, b.values])
    codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    codes[missing] = -1
    return codes


def _text(value: np.generic, kind: ColumnKind) -> str:
    if kind == "bool":
        return "true" if float(value) else "false"
    if kind == "timestamp":
        return str(np.datetime64(int(value), "us"))
    if isinstance(value, np.integer):
        return str(int(value))
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)


def _word(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") | 1


def _float_words(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    normal = values + 0.0  # -0.0 becomes 0.0, and the copy may be written to
    normal[np.isnan(normal)] = np.nan
    return normal.view(np.uint64)


def mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The hashed words: the finalizer of splitmix64 (Steele, Lea and Flood 2014), where every bit moves every bit."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
