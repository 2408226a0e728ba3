"""An object in a bucket as a file that pyarrow reads, downloaded by a few requests at once.

Large Parquet files are read by ranges: the footer, then the columns that are wanted.
"""

from __future__ import annotations

import bisect
import io
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from retraining.store.buckets import Bucket, DataObject

#: From a byte on and before another.
Span: TypeAlias = tuple[int, int]

# One request for each part of this size; one connection gives some tens of MB a second.
_PART_BYTES = 8 * 2**20
_REQUESTS = 8
# A Parquet file up to this size is read whole: its footer and columns would be as many requests as parts.
_WHOLE_BYTES = 8 * 2**20
_FOOTER_BYTES = 128 * 2**10
# Between two columns, bytes up to this number cost less than another request.
_GAP_BYTES = 2**20
# As pyarrow understands the names of local files.
_PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}


class ObjectFile:
    """A file of a dataset that is an object in a bucket.

    What was downloaded is kept until `forget`, since a table is read twice: for its types and for its rows.
    Every byte is of the object that was found; DataError where it has been replaced since.
    """

    def __init__(self, bucket: Bucket, found: DataObject) -> None:
        self._bucket = bucket
        self.found = found
        self._body: pa.Buffer | None = None
        self._ranges: RangedFile | None = None

    def __str__(self) -> str:
        return f"{self._bucket.url}/{self.found.key}"

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self._pure.name

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return self._pure.suffix

    @property
    def _pure(self) -> PurePosixPath:
        return PurePosixPath(self.found.key)

    def open(self) -> pa.NativeFile:
        """The whole content, unpacked where the name says that it is packed (`.gz`, `.zst`)."""
        if self._body is None:
            self._body = pa.py_buffer(self._download([(0, self.found.size)])[0])
        return pa.input_stream(self._body, compression=_PACKED.get(self.suffix.lower()))

    def open_parquet(self, columns: Collection[str] | None = None) -> pq.ParquetFile:
        """The object as a Parquet file, of which these columns will be read: they are downloaded together."""
        if self._ranges is None:
            size = self.found.size
            self._ranges = RangedFile(self._download, size)
            self._ranges.fetch([(0 if size <= _WHOLE_BYTES else size - _FOOTER_BYTES, size)])
        self._ranges.seek(0)
        opened = pq.ParquetFile(self._ranges)
        if columns is not None:
            self._ranges.fetch(column_spans(opened.metadata, columns))
        return opened

    def forget(self) -> None:
        """Lets go of what was downloaded."""
        self._body, self._ranges = None, None

    def _download(self, spans: Sequence[Span]) -> list[bytearray]:
        """The bytes of some ranges, several requests at a time."""
        parts = [
            (place, first, min(first + _PART_BYTES, end))
            for place, (start, end) in enumerate(spans)
            for first in range(start, end, _PART_BYTES)
        ]
        bodies = [bytearray(end - start) for start, end in spans]

        def one(part: tuple[int, int, int]) -> None:
            place, first, last = part
            offset = first - spans[place][0]
            bodies[place][offset : offset + last - first] = self._bucket.read(self.found, first, last - first)

        if len(parts) == 1:
            one(parts[0])
        elif parts:
            with ThreadPoolExecutor(min(_REQUESTS, len(parts))) as pool:
                list(pool.map(one, parts))
        return bodies


class RangedFile(io.RawIOBase):
    """A file of which some ranges are here; what is read outside of them is downloaded when it is asked for."""

    def __init__(self, download: Callable[[Sequence[Span]], list[bytearray]], size: int) -> None:
        super().__init__()
        self._download = download
        self._size = size
        self._at = 0
        self._bodies: dict[int, bytearray] = {}
        self._starts: list[int] = []

    def fetch(self, spans: Iterable[Span]) -> None:
        """Downloads ranges that are not here yet, as one where the bytes between them are few."""
        inside = ((max(0, start), min(end, self._size)) for start, end in spans)
        missing = joined(span for span in inside if self._held(*span) is None)
        self._bodies |= zip((start for start, _ in missing), self._download(missing), strict=True)
        self._starts = sorted(self._bodies)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Where the next byte will be read."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, fewer at the end of the file."""
        start, end = self._at, self._size if size is None or size < 0 else min(self._at + size, self._size)
        if end <= start:
            return b""
        self._at = end
        held = self._held(start, end)
        return bytes(self._download([(start, end)])[0] if held is None else held)

    def _held(self, start: int, end: int) -> memoryview | None:
        """The bytes of a range, if they are here."""
        place = bisect.bisect_right(self._starts, start) - 1
        if place < 0:
            return None
        first = self._starts[place]
        found = memoryview(self._bodies[first])[start - first : end - first]
        return found if len(found) == end - start else None


def column_spans(metadata: pq.FileMetaData, columns: Collection[str]) -> list[Span]:
    """Where the values of some columns are in a Parquet file."""
    wanted = [
        place for place in range(metadata.num_columns) if _is_of(metadata.schema.column(place).path, columns)
    ]
    spans = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for place in wanted:
            chunk = group.column(place)
            dictionary = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
            start = chunk.data_page_offset if dictionary is None else min(dictionary, chunk.data_page_offset)
            spans.append((start, start + chunk.total_compressed_size))
    return spans


def _is_of(path: str, columns: Collection[str]) -> bool:
    """Whether a leaf of the schema is a column, or a part of one that is nested."""
    return path in columns or any(path.startswith(f"{column}.") for column in columns)


def joined(spans: Iterable[Span]) -> list[Span]:
    """The ranges in order, those that lie close together as one."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start - found[-1][1] <= _GAP_BYTES:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found
