"""Late labels as a log of the store: `feedback/<20 digits>.parquet`, create-only, one winner for each number.

The number is the order of arrival, and the only order that anything relies on. A batch is an ordinary Parquet
file that carries the digest of its own bytes (and a signature, where there are keys) as text in its footer: a
seal, which is found and compared before anything is parsed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from retraining.errors import (
    AlreadyExistsError,
    CommitOutcomeUnknownError,
    IntegrityError,
    SignatureError,
    StoreError,
    UnansweredError,
)
from retraining.release import fields
from retraining.store.commits import Ports
from retraining.store.documents import FORMAT, check_format
from retraining.store.log import Store
from retraining.store.objects import create_own
from retraining.store.signing import KEY_VARIABLE, NO_KEYS, Keys

__all__ = [
    "Appended",
    "Batch",
    "Draft",
    "append_batch",
    "batch_key",
    "batch_number",
    "newest_batch",
    "read_batch",
    "read_batches",
]

_FOLDER = "feedback/"
_KEY = re.compile(r"feedback/([0-9]{20})\.parquet")
_MAX_TURNS = 100
_REMEMBERED = 1000
_READERS = 8
_REMEDY = "restore the store's feedback/ folder from a backup"

_BEGIN = b"retraining-feedback-1 "
_SEAL = re.compile(_BEGIN + rb"sha256:([0-9a-f]{64}) hmac-sha256:([0-9a-f]{64})")
_NOBODY = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Labels on their way into the log.

    `content` is the digest of what the user gave, equal where the same was given again; `table` is
    what is kept, `time` when it came (an ISO instant in UTC) and `who` brought it (user@host).
    """

    dataset: str
    content: str
    time: str
    who: str
    table: pa.Table = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Draft):
    """One batch of the log; `bytes` is its size in the store, `signed` whether a signature was on it as it was read."""

    number: int
    bytes: int = field(default=0, compare=False)
    signed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The batch that holds what was given; `existing`: it was there already."""

    number: int
    existing: bool


def batch_key(number: int) -> str:
    """The key of a batch."""
    return f"{_FOLDER}{number:020d}.parquet"


def batch_number(key: str) -> int | None:
    """The number of the batch with this key, None for other keys."""
    match = _KEY.fullmatch(key)
    return int(match[1]) if match else None


def newest_batch(store: Store, known: int = 0) -> int:
    """The number of the newest batch, by one listing from one that is `known` to be there; 0 where there is none.

    IntegrityError where a number is missing.
    """
    last = known
    for info in store.objects.list(_FOLDER, batch_key(known) if known else ""):
        number = batch_number(info.key)
        if number is None:
            continue
        if number != last + 1:
            raise IntegrityError(
                f"{store.objects.url}: {batch_key(last + 1)} is missing, but {info.key} is there", _REMEDY
            )
        last = number
    return last


def read_batch(store: Store, number: int) -> Batch:
    """One batch; IntegrityError where a byte differs, SignatureError where nobody who is accepted signed it."""
    key = batch_key(number)
    data = store.objects.get(key)
    try:
        return parse_batch(data, key, store.keys, _purpose(store.store_id))
    except SignatureError:
        if store.takes_unsigned(key, data):
            return parse_batch(data, key)
        raise


def read_batches(store: Store, after: int, through: int) -> list[Batch]:
    """The batches from the one after `after` to `through`, in their order; errors as `read_batch`."""
    numbers = range(after + 1, through + 1)
    if len(numbers) < 2:
        return [read_batch(store, number) for number in numbers]
    with ThreadPoolExecutor(min(_READERS, len(numbers))) as pool:
        return list(pool.map(lambda number: read_batch(store, number), numbers))


def append_batch(
    store: Store, content: str, make: Callable[[Sequence[Batch]], Draft | None], *, ports: Ports | None = None
) -> Appended | None:
    """Which batch holds labels that a user gave, durable when this returns; None where nothing is to be added.

    `content` is the digest of what was given: one of the last 1,000 batches that has it is the answer, and
    nothing is stored twice. `make` makes the draft for all batches that there are, and is asked again where
    another writer came first.

    Raises CommitOutcomeUnknownError where the store does not tell whether the batch landed: to add the same
    again is safe then. StoreError where it refuses to write.
    """
    ports = Ports() if ports is None else ports
    store.objects.verify_exclusion()
    batches: list[Batch] = []
    for turn in range(_MAX_TURNS):
        # nobody may build on a batch that a power cut can take back
        store.objects.settle(_FOLDER)
        batches += read_batches(store, len(batches), newest_batch(store, len(batches)))
        same = next((batch for batch in reversed(batches[-_REMEMBERED:]) if batch.content == content), None)
        if same is not None:
            return Appended(number=same.number, existing=True)
        draft = make(batches)
        if draft is None:
            return None
        number = len(batches) + 1
        body = write_batch(draft, number, store.keys, _purpose(store.store_id))
        if _create(store, batch_key(number), body):
            _confirm(store, batch_key(number), body)
            return Appended(number=number, existing=False)
        ports.pause(turn)
    raise StoreError(
        f"{store.objects.url}: other writers took every number of the feedback log", "run the command again"
    )


def _create(store: Store, key: str, body: bytes) -> bool:
    try:
        return create_own(store.objects, key, body)
    except UnansweredError as error:
        raise CommitOutcomeUnknownError(
            f"{store.objects.url}: the store did not answer whether {key} was written",
            "add the same labels again: a batch that is there already is not stored twice",
        ) from error


def _confirm(store: Store, key: str, body: bytes) -> None:
    """Send the same bytes again, which must be refused: so a store that lets two win is found out."""
    try:
        store.objects.create(key, body)
    except AlreadyExistsError:
        return
    except Exception:  # noqa: BLE001 - the batch has landed; an answer to this question can wait
        return
    raise StoreError(
        f"{store.objects.url}: the store let {key} be created twice, so two writers could both believe that "
        "their labels are stored (these labels are)",
        "do not let two processes write to this store; move it to a local disk",
    )


def write_batch(draft: Draft, number: int, keys: Keys = NO_KEYS, purpose: str = "") -> bytes:
    """The sealed bytes of a batch: a Parquet file that any reader of Parquet opens."""
    about = {
        "retraining.format": str(FORMAT),
        "retraining.batch": str(number),
        "retraining.dataset": draft.dataset,
        "retraining.content": draft.content,
        "retraining.time": draft.time,
        "retraining.who": draft.who,
        "retraining.seal": _seal(_NOBODY, _NOBODY).decode(),
    }
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, draft.table.schema, compression="zstd", write_statistics=False) as writer:
        writer.write_table(draft.table)
        writer.add_key_value_metadata(about)
    body = sink.getvalue().to_pybytes()
    return _sealed(body, keys, purpose)


def parse_batch(data: bytes, key: str, keys: Keys = NO_KEYS, purpose: str = "") -> Batch:
    """The batch in an object's bytes; errors as `read_batch`, and StoreError for a newer format."""
    signed = _check_seal(data, key, keys, purpose)
    try:
        opened = pq.ParquetFile(pa.BufferReader(data))
        found = {
            name.decode(): value.decode()
            for name, value in (opened.metadata.metadata or {}).items()
            if name.startswith(b"retraining.")
        }
        about = {name.removeprefix("retraining."): value for name, value in found.items()}
        check_format({"format": int(about.get("format", "0"))}, key)
        number = int(fields.text(about, "batch"))
        batch = Batch(
            number=number,
            dataset=fields.text(about, "dataset"),
            content=fields.text(about, "content"),
            time=fields.text(about, "time"),
            who=fields.text(about, "who"),
            table=opened.read(use_threads=False).replace_schema_metadata(None),
            bytes=len(data),
            signed=signed,
        )
    except (ValueError, OSError, pa.ArrowException) as error:
        raise IntegrityError(f"{key}: it cannot be understood: {error!s:.200}", _REMEDY) from error
    if key != batch_key(number):
        raise IntegrityError(f"{key}: it holds batch {number}", _REMEDY)
    return batch


def _purpose(store_id: str) -> str:
    return f"retraining feedback {store_id}"


def _sealed(body: bytes, keys: Keys, purpose: str) -> bytes:
    """The bytes with their blank seal filled in: the signature is of the blank ones, the digest of the signed ones."""
    place = body.rfind(_BEGIN)
    mac = keys.mac(purpose, body) if keys else _NOBODY
    signed = _filled(body, place, _NOBODY, mac)
    return _filled(body, place, hashlib.sha256(signed).hexdigest(), mac)


def _filled(body: bytes, place: int, digest: str, mac: str) -> bytes:
    seal = _seal(digest, mac)
    return body[:place] + seal + body[place + len(seal) :]


def _seal(digest: str, mac: str) -> bytes:
    return _BEGIN + f"sha256:{digest} hmac-sha256:{mac}".encode()


def _check_seal(data: bytes, key: str, keys: Keys, purpose: str) -> bool:
    """Whether the bytes are signed; IntegrityError or SignatureError, before anything of them is parsed."""
    found = _SEAL.match(data, max(0, data.rfind(_BEGIN)))
    if found is None:
        raise IntegrityError(f"{key}: it is cut off or damaged (no seal)", _REMEDY)
    digest, mac = found[1].decode(), found[2].decode()
    if hashlib.sha256(_filled(data, found.start(), _NOBODY, mac)).hexdigest() != digest:
        raise IntegrityError(f"{key}: its bytes are not what its digest says", _REMEDY)
    signed = mac != _NOBODY
    if keys and not (signed and keys.accept(purpose, _filled(data, found.start(), _NOBODY, _NOBODY), mac)):
        raise SignatureError(
            f"{key}: it is not signed by any of the keys in {KEY_VARIABLE}",
            "add the key that signed it, after a comma; or find out who wrote it (docs/security.md)",
        )
    return signed
