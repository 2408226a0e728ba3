"""Labels that somebody gave, on their way to a batch: what of them is new, and as which revision of which key.

A row without a revision gets one more than the last of its key, and is left out where it says what is known
already. A row with one is left out where that very revision said the same, and refused where it said something
else: so the log never holds two answers to one question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retraining.data.conversion import from_column
from retraining.data.feedback import (
    KNOWN_AT,
    OP,
    RETRACT,
    REVISION,
    SOURCE,
    UPSERT,
    Bools,
    Ints,
    Records,
    Rows,
    current,
    emptied,
    missing_column,
    overlaid,
    record_codes,
    was_column,
)
from retraining.data.tables import NO_MOMENT, Column, Table, match_codes
from retraining.errors import DataError

__all__ = ["Drafted", "Given", "draft_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Labels as somebody gave them, row by row, `(n_rows,)`; `what` names them in errors.

    `key` and `labels` are columns by name. `known` is `NO_MOMENT` and `revision` 0 where nothing was written.
    """

    what: str
    dataset: str
    key: Mapping[str, Column]
    labels: Mapping[str, Column]
    known: Ints
    revision: Ints
    retract: Bools
    source: Column

    def content(self) -> str:
        """The digest of what was given: equal where the same was given in another order or file."""
        words = [column.words() for column in self.key.values()]
        order = np.lexsort(words[::-1])
        state = hashlib.sha256()
        own = {"known": self.known, "revision": self.revision, "retract": self.retract.astype(np.int64)}
        named = {f"key.{name}": column.words() for name, column in self.key.items()}
        named |= {f"label.{name}": column.words() for name, column in self.labels.items()}
        named |= {name: values.view(np.uint64) for name, values in own.items()}
        named["source"] = self.source.words()
        for name, values in sorted(named.items()):
            state.update(f"{self.dataset}\0{name}\0".encode())
            state.update(np.ascontiguousarray(values[order]).data)
        return f"sha256:{state.hexdigest()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """What of the given rows is new: `table` as a batch keeps it (None: nothing is).

    `came`, `corrected` and `retracted` count rows by what happens to their label, `unchanged` those that say
    nothing new, and `unknown` those of the new ones whose key is in no row of the dataset.
    """

    table: pa.Table | None
    came: int
    corrected: int
    retracted: int
    unchanged: int
    unknown: int

    @property
    def rows(self) -> int:
        """How many rows are new."""
        return self.came + self.corrected + self.retracted


def draft_of(given: Given, records: Records | None, table: Table, now: int) -> Drafted:
    """What given rows add to the records of their dataset, whose rows are `table`.

    `now` (microseconds UTC) is when labels without a moment of their own are known. DataError where a row
    has a revision that said something else.
    """
    n_rows = len(given.known)
    key = [given.key[name] for name in table.key]
    in_table = _places(key, [table.columns[name] for name in table.key])
    last = np.zeros(n_rows, np.int64) if records is None else _last_revisions(key, records)
    automatic = given.revision == 0
    says = {name: given.retract | ~column.missing() for name, column in given.labels.items()}
    labels: dict[str, Column] = {}
    was: dict[str, Column] = {}
    anything = np.zeros(n_rows, bool)
    replaces = np.zeros(n_rows, bool)
    for name, column in given.labels.items():
        column = emptied(column, given.retract)
        before = _before(name, key, records, table, in_table, n_rows)
        same = _equal(column, before)
        unchanged = automatic & same
        if records is not None and name in records.labels:
            unchanged |= _repeated(given, name, key, records)
        news = says[name] & ~unchanged
        labels[name] = emptied(column, ~news)
        was[name] = emptied(before, ~news | same)
        anything |= news
        replaces |= news & ~before.missing()
    revision = np.where(automatic, last + 1, given.revision)
    order = np.flatnonzero(anything)
    order = order[np.lexsort([column.words()[order] for column in reversed(key)])]
    retract = given.retract[order]
    return Drafted(
        table=_stored(given, labels, was, revision, now, order) if len(order) else None,
        came=int((~retract & ~replaces[order]).sum()),
        corrected=int((~retract & replaces[order]).sum()),
        retracted=int(retract.sum()),
        unchanged=n_rows - len(order),
        unknown=int((in_table[order] < 0).sum()),
    )


def _stored(
    given: Given,
    labels: Mapping[str, Column],
    was: Mapping[str, Column],
    revision: Ints,
    now: int,
    order: Rows,
) -> pa.Table:
    known = np.where(given.known == NO_MOMENT, now, given.known)
    ops = np.where(given.retract, 0, 1).astype(np.int32)
    columns: dict[str, pa.Array] = {name: from_column(c.take(order)) for name, c in given.key.items()}
    columns |= {name: from_column(column.take(order)) for name, column in labels.items()}
    columns |= {
        KNOWN_AT: from_column(Column(kind="timestamp", values=known[order])),
        REVISION: from_column(Column(kind="number", values=revision[order])),
        OP: from_column(Column(kind="category", values=ops[order], categories=(RETRACT, UPSERT))),
        SOURCE: from_column(given.source.take(order)),
    }
    columns |= {was_column(name): from_column(column.take(order)) for name, column in was.items()}
    return pa.table(columns)


def _places(key: Sequence[Column], other: Sequence[Column]) -> Ints:
    """For each key its place among others, each of which occurs once; -1 where it is not there."""
    left, right = match_codes(key, other)
    place = np.full(int(max(left.max(initial=-1), right.max(initial=-1))) + 2, -1, np.int64)
    there = right >= 0
    place[right[there]] = np.flatnonzero(there)
    return np.where(left >= 0, place[left], -1)


def _last_revisions(key: Sequence[Column], records: Records) -> Ints:
    """The highest revision of each key; 0 where it has none."""
    codes = record_codes(records)
    order = np.lexsort((records.revision, codes))
    ends = np.flatnonzero(np.append(codes[order][1:] != codes[order][:-1], True))
    newest = order[ends]
    at = _places(key, [column.take(newest) for column in records.key])
    return np.where(at >= 0, records.revision[newest[at]], 0)


def _before(
    name: str, key: Sequence[Column], records: Records | None, table: Table, in_table: Ints, n_rows: int
) -> Column:
    """The label that each key has: by the records, else in the table; missing where it has none."""
    own = table.columns[name]
    rows = np.flatnonzero(in_table >= 0)
    found = overlaid(missing_column(own.kind, n_rows), rows, own.take(in_table[rows]), name)
    if records is None or name not in records.labels:
        return found
    at = current(records, name).matched(key)
    rows = np.flatnonzero(at >= 0)
    return overlaid(found, rows, records.labels[name].take(at[rows]), f"{table.dataset}.{name}")


def _repeated(given: Given, name: str, key: Sequence[Column], records: Records) -> Bools:
    """Which rows repeat a record of the same key and revision; DataError for one that says something else."""
    said = np.flatnonzero(records.says[name])
    left, right = match_codes(
        [*key, Column(kind="number", values=given.revision)],
        [*(c.take(said) for c in records.key), Column(kind="number", values=records.revision[said])],
    )
    place = np.full(int(max(left.max(initial=-1), right.max(initial=-1))) + 2, -1, np.int64)
    place[right[right >= 0]] = said[right >= 0]
    at = np.where((left >= 0) & (given.revision > 0), place[left], -1)
    speaks = given.retract | ~given.labels[name].missing()
    rows = np.flatnonzero((at >= 0) & speaks)
    theirs = at[rows]
    same = given.retract[rows] == records.retract[theirs]
    same &= given.retract[rows] | _equal(given.labels[name].take(rows), records.labels[name].take(theirs))
    same &= (given.known[rows] == NO_MOMENT) | (given.known[rows] == records.known[theirs])
    if not same.all():
        row, record = int(rows[np.argmin(same)]), int(theirs[np.argmin(same)])
        raise DataError(
            f"{given.what}, row {row + 1} ({_key_text(given, row)}): revision {int(given.revision[row])} of {name} is "
            f"in batch {int(records.batch[record])} already and says {_said(records, name, record)}",
            "give a correction a higher revision, or leave the column `revision` out: it is then the next one",
        )
    found = np.zeros(len(given.known), bool)
    found[rows] = True
    return found


def _key_text(given: Given, row: int) -> str:
    return ", ".join(f"{name}={_text(column, row)}" for name, column in given.key.items())


def _said(records: Records, name: str, record: int) -> str:
    label = "that there is none" if records.retract[record] else _text(records.labels[name], record)
    moment = np.datetime64(int(records.known[record]), "us")
    return f"{label}, known at {np.datetime_as_string(moment, 's')}Z"


def _text(column: Column, row: int) -> str:
    codes, texts = column.take(np.array([row])).texts()
    return texts[int(codes[0])] if codes[0] >= 0 else "nothing"


def _equal(one: Column, other: Column) -> NDArray[np.bool_]:
    """Where two columns say the same, nothing and nothing among it."""
    nothing, none = one.missing(), other.missing()
    if one.kind != other.kind and not (nothing.all() or none.all()):
        return np.zeros(len(nothing), bool)
    return np.asarray((nothing & none) | (~nothing & ~none & (one.words() == other.words())))
