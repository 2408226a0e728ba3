"""Does a store's `create` exclude? Asked before anything is built on it.

Some servers accept a create of a taken key, some only in buckets that keep versions, and some check
and write in two steps, so that racing writers all win. A release would then be lost silently. The
probe finds the first two kinds for certain and the third in all likelihood: it is a filter, and
every commit confirms its own entry besides (retraining/store/commits.py).
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from retraining.errors import AlreadyExistsError, StoreError, UnansweredError
from retraining.store.objects import Objects, create_own

__all__ = ["probe"]

_RACERS = 8


def probe(objects: Objects, name: str) -> None:
    """Refuse, with a StoreError that says why, a store in which two writers can create one object.

    `name` is one that no other probe has: objects are made below `probes/<name>/`, and removed.
    A dozen requests.
    """
    keys = [f"probes/{name}/again", f"probes/{name}/race"]
    try:
        fault = _again(objects, keys[0]) or _race(objects, keys[1])
    finally:
        # what is left behind disturbs nobody, and the answer is known
        with contextlib.suppress(StoreError):
            objects.delete(keys)
    if fault:
        raise StoreError(
            f"{objects.url}: {fault}, so two runs could both believe that their release won; nothing was done",
            "use a bucket without versioning if this server is not Amazon's, or another store: a local folder, "
            "Amazon S3, Google Cloud Storage, Azure, or Ceph's radosgw",
        )


def _again(objects: Objects, key: str) -> str:
    """What is wrong when one writer creates a key twice; empty for nothing."""
    create_own(objects, key, b"first")
    if _won(objects, key, b"second") or objects.get(key) != b"first":
        return "the server let an object be created that was already there (it ignores If-None-Match)"
    return ""


def _race(objects: Objects, key: str) -> str:
    """What is wrong when several writers create a key at once; empty for nothing."""
    start = Barrier(_RACERS)

    def one(number: int) -> bool:
        start.wait()
        return _won(objects, key, b"%d" % number)

    with ThreadPoolExecutor(_RACERS) as pool:
        winners = [number for number, won in enumerate(pool.map(one, range(_RACERS))) if won]
    # nobody wins where the winner's answer was lost
    if len(winners) > 1:
        return f"the server let {len(winners)} of {_RACERS} writers create the same object at once"
    if winners and objects.get(key) != b"%d" % winners[0]:
        return "the server told one writer that it had created an object, and kept another's bytes"
    return ""


def _won(objects: Objects, key: str, body: bytes) -> bool:
    try:
        objects.create(key, body)
    except (AlreadyExistsError, UnansweredError):
        return False
    return True
