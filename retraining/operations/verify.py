"""Checks that a store still holds what its records say, and signs one that does."""

from __future__ import annotations

import datetime as dt
import os

from retraining.errors import InputError
from retraining.operations.status import commit_entry
from retraining.operations.stored import Stored
from retraining.release.update import Update
from retraining.reporting.soundness import Finding, Signature, Soundness, Vouched
from retraining.store import verification
from retraining.store.commits import Housekeeping
from retraining.store.documents import digest_of
from retraining.store.entries import RELEASING, LogEntry, entry_key
from retraining.store.feedback import batch_key, newest_batch
from retraining.store.results import merge_results
from retraining.store.runs import new_run_id
from retraining.store.signing import KEY_VARIABLE
from retraining.store.vouching import write_vouched

__all__ = ["verify", "verify_and_sign"]


def verify(stored: Stored, *, everything: bool) -> Soundness:
    """What is missing or damaged in a store; without `everything` caches and history are left out."""
    return _soundness(stored, verification.verify(stored.store, everything=everything), everything)


def verify_and_sign(stored: Stored, *, who: str) -> tuple[Soundness, Signature | None]:
    """What is wrong in a store that need not be signed, and the signature on it if nothing is.

    Its log entry vouches for all older ones by their digests, whoever signed them or nobody. InputError
    where there is no key to sign with, ReleaseConflictError where a run commits at the same time.
    """
    if not stored.store.keys:
        raise InputError(
            f"there is no key to sign with: {KEY_VARIABLE} is not set",
            "make one with `openssl rand -hex 32` and set the variable (docs/security.md)",
        )
    store = stored.store.trusting()
    head = store.read_head()
    found = _soundness(stored, verification.verify(store), everything=True)
    if found.findings or head.entry is None:
        return found, None
    now = dt.datetime.now(dt.UTC)
    run = new_run_id(int(now.timestamp() * 1000), os.urandom(4))
    # finished fits that only unsigned segments or packs tell of are vouched for too
    merged = merge_results(store.objects, run, head.entry.results)
    entries = [_vouched(entry) for entry in store.entries()]
    batches = newest_batch(store)
    keys = [entry_key(number) for number in range(1, head.sequence + 1)]
    keys += [batch_key(number) for number in range(1, batches + 1)]
    digests = {key: digest_of(store.objects.get(key)) for key in keys}
    after = store.commit(
        Update(),
        (),
        kind="state",
        run=run,
        who=who,
        why={"signed": head.sequence},
        manifest=head.entry.manifest,
        now=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        start=head,
        results=merged,
        housekeeping=Housekeeping(
            condemned=head.entry.condemned,
            oldest_release=head.entry.oldest_release,
            vouched=store.write_index(run, "vouched", write_vouched(digests)),
        ),
    )
    return found, Signature(entry=after.sequence, entries=tuple(entries), batches=batches)


def _vouched(entry: LogEntry) -> Vouched:
    told = f"release {entry.release}" if entry.kind in RELEASING else commit_entry(entry).what
    return Vouched(entry=entry.sequence, time=entry.time, who=entry.who, what=told, signed=entry.signed)


def _soundness(stored: Stored, found: verification.Verification, everything: bool) -> Soundness:
    return Soundness(
        store=stored.url,
        everything=everything,
        entries=found.entries,
        signed=found.signed,
        releases=found.releases,
        blobs=found.blobs,
        bytes=found.bytes,
        findings=tuple(
            Finding(
                key=damage.key,
                kind=damage.kind,
                missing=damage.missing,
                because=damage.because,
                node=damage.node,
                releases=damage.releases,
                remedy=damage.remedy,
            )
            for damage in found.damages
        ),
    )
