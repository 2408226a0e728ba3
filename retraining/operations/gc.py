"""Cleans a store: condemns what nobody needs, deletes what was condemned long enough ago (docs/design.md 8)."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping

from retraining.errors import ReleaseConflictError
from retraining.manifest.values import Json
from retraining.operations.stored import Stored
from retraining.release.update import Update
from retraining.reporting.cleaning import Cleaning
from retraining.store.commits import Housekeeping
from retraining.store.condemned import CondemnedObject, write_condemned
from retraining.store.garbage import Garbage, Keep, find_garbage, sweep
from retraining.store.log import Store
from retraining.store.runs import new_run_id

__all__ = ["clean"]

_MAX_TURNS = 20


def clean(stored: Stored, keep: Keep, *, act: bool, who: str) -> Cleaning:
    """What there is to clean; it is done where `act` says so, else nothing is changed.

    Raises ReleaseConflictError where other runs commit faster than the store can be looked through,
    IntegrityError where a kept release is damaged: nothing is condemned then.
    """
    store = stored.store
    if not act:
        return _report(stored, keep, find_garbage(store, keep), sequence=None, acted=False)
    store.objects.verify_exclusion()
    run = new_run_id(int(dt.datetime.now(dt.UTC).timestamp() * 1000), os.urandom(4))
    for turn in range(_MAX_TURNS):
        garbage = find_garbage(store, keep)
        sweep(store.objects, garbage.sweep)
        try:
            sequence = _record(store, garbage, run, turn, who)
        except ReleaseConflictError:
            continue
        store.objects.delete_temporaries(garbage.temporaries)
        return _report(stored, keep, garbage, sequence=sequence, acted=True)
    raise ReleaseConflictError(
        f"{store.objects.url}: {_MAX_TURNS} times another run committed while the store was looked through",
        "run it again when fewer runs use this store; nothing that anybody needs was touched",
    )


def _record(store: Store, garbage: Garbage, run: str, turn: int, who: str) -> int | None:
    """The number of the log entry that says what was done; None where there is nothing to say."""
    known = garbage.head.entry
    drops = known is not None and bool(garbage.dropped)
    if known is None or not (garbage.condemn or garbage.sweep or garbage.gone or drops):
        return None
    # a name leaves the list only here, after its object is gone
    listed = (*garbage.waiting, *garbage.condemn)
    pointer = store.write_index(run, f"condemned-{turn}", write_condemned(listed)) if listed else None
    why: dict[str, Json] = {
        "condemned": _summary(garbage.condemn),
        "deleted": _summary(garbage.sweep),
        "dropped_releases": [*garbage.dropped],
    }
    head = store.commit(
        Update(),
        (),
        kind="gc",
        run=run,
        who=who,
        why=why,
        manifest=known.manifest,
        now=garbage.now.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        start=garbage.head,
        housekeeping=Housekeeping(condemned=pointer, oldest_release=garbage.oldest_release),
    )
    return head.sequence


def _summary(some: tuple[CondemnedObject, ...]) -> dict[str, Json]:
    return {"objects": len(some), "bytes": sum(one.bytes for one in some)}


def _report(stored: Stored, keep: Keep, garbage: Garbage, *, sequence: int | None, acted: bool) -> Cleaning:
    def sizes(some: tuple[CondemnedObject, ...]) -> Mapping[str, int]:
        return {one.key: one.bytes for one in some}

    return Cleaning(
        store=stored.url,
        acted=acted,
        sequence=sequence,
        grace_seconds=keep.grace.total_seconds(),
        kept=garbage.kept,
        dropped=garbage.dropped,
        condemned=sizes(garbage.condemn),
        deleted=sizes(garbage.sweep),
        waiting=sizes(garbage.waiting),
        temporaries={info.key: info.size for info in garbage.temporaries},
    )
