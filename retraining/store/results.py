"""What earlier runs have finished, by fingerprint: the reason why nothing finished is done twice.

The index is never authority. A damaged segment or pack is a miss, reported in `damaged`; a pack
that no segment names (its run was killed) is found by its own footer. Of two records with one
fingerprint the first by key is taken, so that every reader takes the same.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from retraining.errors import IntegrityError, NotFoundError, StoreError
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.store.documents import Frame, digest_of
from retraining.store.entries import ObjectPointer, ResultsBase
from retraining.store.objects import Objects
from retraining.store.packs import Action, StoredRecord, read_footer
from retraining.store.signing import NO_KEYS, Keys, check_bytes, sign_bytes

__all__ = [
    "NewSegments",
    "Packs",
    "ResultIndex",
    "load_results",
    "merge_results",
    "read_packs",
    "read_segment",
    "segment_run",
    "write_segment",
]

_FRAME = Frame(magic=b"RTRS1")
_SEGMENT = re.compile(r"results/[0-9]{13}-(?P<run>[^/]+)-[0-9]{6}")
_PACK = re.compile(r"packs/[^/]+/[^/]+")
_CLOCKS_DIFFER_MS = 120_000
#: More segments than this are merged by the next commit, since each costs every run a request.
MOST_SEGMENTS = 64
# about 50 MB before compression
_RECORDS_IN_AN_OBJECT = 100_000


class ResultIndex:
    """Finished actions by fingerprint.

    `damaged` names the objects that could not be read; `loose` has the records of the packs that no
    segment names, by pack: who writes the next segment takes them in, so that they are read once.
    `discarded` are the fingerprints that were forgotten. `unmerged` is the number of result segments
    that had to be read one by one.
    """

    def __init__(
        self,
        records: Iterable[StoredRecord] = (),
        damaged: Iterable[str] = (),
        loose: Mapping[str, Sequence[StoredRecord]] | None = None,
        unmerged: int = 0,
    ) -> None:
        self._records: dict[tuple[Action, str], StoredRecord] = {}
        self.damaged = tuple(damaged)
        self.loose = dict(loose or {})
        self.unmerged = unmerged
        self.discarded: set[str] = set()
        self.add(records)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, records: Iterable[StoredRecord], *, replace: bool = False) -> None:
        """Take records in; one whose action and fingerprint are known already changes nothing.

        But a record with blobs takes the place of one without: a fit that was made only for its
        predictions may be made again for its model. `replace` lets every record take the place.
        """
        for record in records:
            known = self._records.setdefault((record.action, record.fingerprint), record)
            if replace or (record.blobs and not known.blobs):
                self._records[(record.action, record.fingerprint)] = record

    def discard(self, action: Action, fingerprint: str) -> None:
        """Forget a record whose blobs turned out to be damaged or gone, so that it is made again."""
        self._records.pop((action, fingerprint), None)
        self.discarded.add(fingerprint)

    def find(self, action: Action, fingerprint: str) -> StoredRecord | None:
        """The record of this action with this fingerprint, None if there is none."""
        return self._records.get((action, fingerprint))


def write_segment(
    objects: Objects,
    run: str,
    number: int,
    now_ms: int,
    packs: Mapping[str, Sequence[StoredRecord]],
    keys: Keys = NO_KEYS,
) -> str:
    """The key of a new segment that repeats the footers of finished packs, so that one read finds them.

    `packs` maps the key of each pack to its records; `number` counts the segments of the run.
    """
    key = f"results/{now_ms:013d}-{run}-{number:06d}"
    lines: list[dict[str, Json]] = [
        {"pack": pack, "records": [record.to_json() for record in records]}
        for pack, records in sorted(packs.items())
    ]
    objects.put(key, sign_bytes(_FRAME.write(lines), keys, _purpose(key)))
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Packs:
    """All packs of a store that can be read, with their records, by key.

    `segments` maps each result segment that no base covers to the packs it tells of; `loose` are the
    packs that neither names; `damaged` names the objects that could not be read.
    """

    records: Mapping[str, tuple[StoredRecord, ...]]
    segments: Mapping[str, tuple[str, ...]]
    loose: Mapping[str, tuple[StoredRecord, ...]]
    damaged: tuple[str, ...]


def load_results(objects: Objects, base: ResultsBase | None = None, keys: Keys = NO_KEYS) -> ResultIndex:
    """All finished results of the store; objects that cannot be read are left out and named.

    `base` is the head's merge of earlier segments. Read the head of the log before this, so that
    nothing that an earlier gc has deleted is taken up again. With keys only what a signed segment or
    the base tells is taken: a pack that nobody vouches for could hold anybody's model.
    """
    packs = read_packs(objects, base, keys)
    records = (record for some in packs.records.values() for record in some)
    return ResultIndex(records, packs.damaged, packs.loose, len(packs.segments))


def read_packs(objects: Objects, base: ResultsBase | None, keys: Keys = NO_KEYS) -> Packs:
    """The records of all packs that are there: from the base, from segments, else from their footers.

    With keys not from footers, and from signed segments alone.
    """
    damaged: list[str] = []
    loose: dict[str, tuple[StoredRecord, ...]] = {}
    found: dict[str, tuple[StoredRecord, ...]] = {}
    segments: dict[str, tuple[str, ...]] = {}
    for pointer in () if base is None else base.objects:
        try:
            found.update(_read_base(objects, pointer))
        except StoreError:
            damaged.append(pointer.at)
    covered = base is not None and not damaged
    for info in objects.list("results/", base.through if base is not None and covered else ""):
        if _SEGMENT.fullmatch(info.key):
            try:
                told = _read_segment(objects, info.key, keys)
            except StoreError:
                damaged.append(info.key)
            else:
                segments[info.key] = tuple(told)
                found.update(told)
    records: dict[str, tuple[StoredRecord, ...]] = {}
    for info in objects.list("packs/"):
        if not _PACK.fullmatch(info.key) or (keys and info.key not in found):
            continue
        try:
            if info.key not in found:
                loose[info.key] = read_footer(objects, info.key)
        except StoreError:
            damaged.append(info.key)
        else:
            records[info.key] = found.get(info.key) or loose[info.key]
    return Packs(records=records, segments=segments, loose=loose, damaged=tuple(damaged))


def merge_results(
    objects: Objects, run: str, base: ResultsBase | None, keys: Keys = NO_KEYS
) -> ResultsBase | None:
    """The merge of all that is known of packs, for a log entry to name; None where no segment is loose.

    Written under `index/<run>/results-<number>`. A segment whose name sorts before the last merged one
    though it is written later (a clock that is behind) is missed: its packs' footers are read then.
    """
    packs = read_packs(objects, base, keys)
    through = max(packs.segments, default=None)
    if through is None:
        return None
    pointers: list[ObjectPointer] = []
    lines: list[dict[str, Json]] = []
    waiting = 0

    def write() -> None:
        nonlocal waiting
        data = _FRAME.write(lines)
        at = f"index/{run}/results-{len(pointers)}"
        objects.put(at, data)
        pointers.append(ObjectPointer(at=at, bytes=len(data), digest=digest_of(data)))
        lines.clear()
        waiting = 0

    for pack, records in sorted(packs.records.items()):
        lines.append({"pack": pack, "records": [record.to_json() for record in records]})
        waiting += len(records)
        if waiting >= _RECORDS_IN_AN_OBJECT:
            write()
    if lines or not pointers:
        write()
    return ResultsBase(objects=tuple(pointers), through=through)


def segment_run(key: str) -> str | None:
    """The run that wrote a result segment, by its key; None for another key."""
    match = _SEGMENT.fullmatch(key)
    return match["run"] if match else None


def _read_base(objects: Objects, pointer: ObjectPointer) -> dict[str, tuple[StoredRecord, ...]]:
    data = objects.get(pointer.at)
    if digest_of(data) != pointer.digest:
        raise IntegrityError(f"{pointer.at}: its bytes are not what its digest says")
    return read_segment(data, pointer.at)


class NewSegments:
    """What other runs have finished since the last look, found with one listing and a read for each segment.

    Parameters
    ----------
    objects
        The object-store port.
    run
        The run that looks; its own segments are passed over.
    since_ms
        Milliseconds since 1970 in UTC: segments of a time well before it are known.
    keys
        With keys, segments that none of them signed are passed over.
    """

    def __init__(self, objects: Objects, run: str, since_ms: int, keys: Keys = NO_KEYS) -> None:
        self._objects = objects
        self._keys = keys
        self._run = run
        # another machine's clock may be behind
        self._after = f"results/{max(since_ms - _CLOCKS_DIFFER_MS, 0):013d}"
        self._seen: set[str] = set()

    def look(self) -> list[StoredRecord]:
        """The records of the segments that other runs wrote since the last look; StoreError."""
        records: list[StoredRecord] = []
        for info in self._objects.list("results/", self._after):
            if info.key in self._seen or not _SEGMENT.fullmatch(info.key):
                continue
            self._seen.add(info.key)
            if f"-{self._run}-" in info.key:
                continue
            # a damaged one is a miss; it is named by whoever reads all
            with contextlib.suppress(IntegrityError, NotFoundError):
                for found in _read_segment(self._objects, info.key, self._keys).values():
                    records.extend(found)
        return records


def _read_segment(objects: Objects, key: str, keys: Keys) -> dict[str, tuple[StoredRecord, ...]]:
    return read_segment(objects.get(key), key, keys)


def _purpose(key: str) -> str:
    return f"retraining segment {key}"


def read_segment(data: bytes, key: str, keys: Keys = NO_KEYS) -> dict[str, tuple[StoredRecord, ...]]:
    """The records in a segment or a merge of segments by pack; IntegrityError where a byte differs."""
    lines = _FRAME.read(check_bytes(data, keys, _purpose(key), key), key)
    try:
        return {pack: _records(line, pack) for line in lines for pack in [fields.text(line, "pack")]}
    except ValueError as error:
        raise IntegrityError(f"{key}: its lines cannot be understood: {error}") from error


def _records(line: Mapping[str, Json], pack: str) -> tuple[StoredRecord, ...]:
    return tuple(StoredRecord.from_json(record, pack) for record in fields.sequence(line, "records"))
