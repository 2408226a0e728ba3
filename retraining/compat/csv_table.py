"""CSV text -> named columns of typed values.

Invariant: a column holds numbers, truth values or texts, never a mixture, and the line of each row
is kept for messages. A text column keeps its cells as written, but for
spaces around them (a carrier `NA` stays `NA`).
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retraining.errors import DataError

__all__ = ["CsvTable", "parse_cells", "read_csv"]

_LOGGER = logging.getLogger(__name__)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?[iI]nf(inity)?")
_INTEGER = re.compile(r"[+-]?\d+")
_ZERO_PADDED = re.compile(r"[+-]?0\d+")
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """`cells[i]` are the texts of column `names[i]`; `lines` has the file's line of each row."""

    names: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]


def read_csv(text: str, *, file: str, delimiter: str | None = None) -> CsvTable:
    """The table of a CSV text with a header line; the delimiter is a comma unless the header shows another.

    Raises DataError with the line for ragged rows, and for a header that is none.
    """
    first = text.lstrip("\r\n").partition("\n")[0]
    if delimiter is None:
        delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{file}, line {reader.line_num}: not readable as CSV ({error})") from None
    if not rows:
        raise DataError(f"{file} is empty, expected a header line and rows")
    names = _header(rows[0], file)
    if len(rows) == 1:
        raise DataError(f"{file} has a header line and no rows")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise DataError(
                f"{file}, line {line}: found {len(row)} value(s), expected {len(names)} as in the header",
                "quote values that hold the delimiter, or mend the row",
            )
    return _without_row_numbers(
        CsvTable(names=names, cells=tuple(zip(*rows[1:], strict=True)), lines=tuple(lines[1:])), file
    )


def _header(cells: Sequence[str], file: str) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    twice = sorted({name for name in names if names.count(name) > 1})
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    counted = numbers == [str(index) for index in range(len(numbers))]
    if numbers and not counted and (len(numbers) == len(names) or not all(map(_INTEGER.fullmatch, numbers))):
        raise DataError(
            f"{file}, line 1: found the number {numbers[0]} where a column's name is expected",
            "add a header line with the names of the columns",
        )
    if twice:
        raise DataError(f"{file}, line 1: several columns are named {twice[0]!r}", "rename all but one")
    if len(names) < 2:
        raise DataError(f"{file}, line 1: found one column ({names[0]!r}), expected features and a label")
    return names


def _without_row_numbers(table: CsvTable, file: str) -> CsvTable:
    """The table without a leading nameless column of row numbers, which pandas writes by default."""
    if "" not in table.names:
        return table
    counts = tuple(str(row) for row in range(len(table.lines)))
    if table.names[0] == "" and table.cells[0] == counts and len(table.names) > 2:
        _LOGGER.warning("%s: left out the nameless first column, it only numbers the rows", file)
        return CsvTable(names=table.names[1:], cells=table.cells[1:], lines=table.lines)
    raise DataError(
        f"{file}, line 1: column {table.names.index('') + 1} has no name",
        "name it, or leave it out (pandas: to_csv(path, index=False))",
    )


def parse_cells(cells: Sequence[str], *, name: str, keep_zeros: bool = False) -> list[Any]:
    """The cells as ints, floats, bools or texts, all of one type; missing is None.

    Texts such as NA are missing only among numbers and truth values. With `keep_zeros`, zero-padded
    numbers (`007`) stay texts: as labels they are codes.
    """
    stripped = [cell.strip() for cell in cells]
    present = [cell for cell in stripped if cell.lower() not in _MISSING]
    numbers = sum(1 for cell in present if _NUMBER.fullmatch(cell))
    if numbers == len(present) and not (keep_zeros and any(map(_ZERO_PADDED.fullmatch, present))):
        number = int if all(map(_INTEGER.fullmatch, present)) else float
        return [None if cell.lower() in _MISSING else number(cell) for cell in stripped]
    if all(cell.lower() in _TRUTH for cell in present):
        return [_TRUTH.get(cell.lower()) for cell in stripped]
    if numbers > 0.5 * len(present) and not keep_zeros:
        odd = next(cell for cell in present if not _NUMBER.fullmatch(cell))
        _LOGGER.warning(
            "column %r: %d of %d values are numbers, others are not (%r): all are read as categories",
            name, numbers, len(present), odd,
        )  # fmt: skip
    return [cell or None for cell in stripped]
