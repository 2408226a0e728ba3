"""One commit, from the check on the newest head to an entry that is durable (docs/design.md 7, steps 3 to 7).

Exactly one writer wins each number. A writer that gets an error does not know whether it won, so it
reads back and compares the commit's own identity; what it cannot find out it says, and it deletes
nothing. A conflict is found before anything is written, and again on every head that came between.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from retraining.errors import (
    AlreadyExistsError,
    CommitOutcomeUnknownError,
    NotFoundError,
    ReleaseConflictError,
    RetrainingError,
    SignatureError,
    StoreError,
    UnansweredError,
)
from retraining.manifest.values import Json
from retraining.release.update import Conflict, Requirement, Update, apply, check, mismatches
from retraining.release.values import Attempt, NodeState
from retraining.store.condemned import named_packs
from retraining.store.entries import (
    RELEASING,
    Head,
    Kind,
    LogEntry,
    ObjectPointer,
    ResultsBase,
    entry_key,
    parse_entry,
)
from retraining.store.nodes import Shard, split_shards, write_rows
from retraining.store.objects import Objects
from retraining.store.rescue import Rescuer
from retraining.store.signing import NO_KEYS, Keys

__all__ = ["Commit", "Housekeeping", "Ports"]

_MAX_TURNS = 100
_MAX_SECONDS = 60.0
_MAX_PUTS = 5
_SHOWN = 10
_LOOK = "`retrain releases` shows whether it landed; running again continues from what is there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a store takes from the world beside its objects: randomness, a clock for limits, sleep."""

    random_bytes: Callable[[int], bytes] = os.urandom
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def pause(self, turn: int) -> None:
        """Sleep a random time, so that writers who collided once do not collide again.

        It is up to 10 ms after the first turn and up to a second after many.
        """
        share = int.from_bytes(self.random_bytes(4), "big") / 2**32
        self.sleep(share * min(1.0, 0.01 * 2 ** min(turn, 10)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """What gc commits: the new condemned list, the oldest release that is kept; or what is vouched for.

    It was worked out on one head and holds for that alone, so it is never carried over to another.
    """

    condemned: ObjectPointer | None
    oldest_release: int | None
    vouched: ObjectPointer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One attempt to commit an update; `identity` is unlike that of every other attempt.

    `start` is the head that the run read before it looked for finished results.
    """

    objects: Objects
    ports: Ports
    identity: str
    update: Update
    requires: Sequence[Requirement]
    kind: Kind
    run: str
    who: str
    why: Mapping[str, Json]
    manifest: Mapping[str, str]
    now: str
    start: Head
    keys: Keys = NO_KEYS
    store_id: str = ""
    snapshots: Mapping[str, ObjectPointer] = field(default_factory=dict)
    results: ResultsBase | None = None
    housekeeping: Housekeeping | None = None
    feedback_through: int = 0

    def land(self, read_head: Callable[[], Head], read_entry: Callable[[int], LogEntry]) -> Head:
        """The head that this commit made, on whatever head is the newest when its turn comes.

        Cursors alone that are all reached already make no entry.
        """
        self.objects.verify_exclusion()
        folder = f"packs/{self.run}/rescued-{self.identity[:16]}"
        rescuer = Rescuer(self.objects, read_entry, self.start, folder)
        update = self.update
        self._settle(named_packs(update))
        deadline = self.ports.monotonic() + _MAX_SECONDS
        for turn in range(_MAX_TURNS):
            # Nobody may build on an entry that a power cut can take back.
            self.objects.settle("log/")
            before = read_head()
            if self.housekeeping is not None and before.sequence != self.start.sequence:
                break
            after = self._next(before, update)
            if update == Update(cursors=update.cursors) and not self.housekeeping and after == before.nodes:
                return before  # another run has looked as far
            # a conflict needs no rescue, so it is found first
            rescued = rescuer.rescue(update, before)
            if rescued is not update:
                update = rescued
                after = self._next(before, update)
            entry = self._entry(before, after, turn, rescuer)
            if self._create(entry):
                self._confirm(entry)
                return Head(sequence=entry.sequence, release=entry.release, entry=entry, nodes=after)
            if self.housekeeping is not None:
                break
            if self.ports.monotonic() > deadline:
                break
            self.ports.pause(turn)
        if self.housekeeping is not None:
            raise ReleaseConflictError(
                f"{self.objects.url}: another run committed while this one was looking through the store",
                "run the command again: it looks at what is there now",
            )
        raise ReleaseConflictError(
            f"{self.objects.url}: other runs took every number of the log for {_MAX_SECONDS:.0f} seconds",
            "run again when fewer runs use this store",
        )

    def _settle(self, packs: frozenset[str]) -> None:
        """Make the names of all packs of the update durable: another run may have died before it did."""
        keys = packs | {pointer.at for pointer in self.snapshots.values()}
        for folder in sorted({key.rpartition("/")[0] + "/" for key in keys}):
            self.objects.settle(folder)

    def _next(self, before: Head, update: Update) -> dict[str, NodeState]:
        """The node table after the update; ReleaseConflictError where it does not fit the head."""
        conflicts = check(before.nodes, self.requires)
        if conflicts:
            raise _conflict(conflicts, before)
        after = apply(before.nodes, self._stamped(update, before.sequence + 1))
        known = set(mismatches(before.nodes))
        broken = [mismatch for mismatch in mismatches(after) if mismatch not in known]
        if broken:
            first = broken[0]
            raise RetrainingError(
                f"the release would serve {first.node} with {first.upstream} {first.found}, but it was "
                f"trained with {first.trained_with} ({len(broken)} such pairs); nothing was released",
                "this is a fault of the program: please report it",
            )
        return after

    def _stamped(self, update: Update, sequence: int) -> Update:
        """The update with this run, time and log entry filled in where they are left open."""

        def attempt(value: Attempt) -> Attempt:
            return replace(value, sequence=sequence) if value.sequence is None else value

        def row(value: NodeState) -> NodeState:
            tried = None if value.attempt is None else attempt(value.attempt)
            return replace(value, run=value.run or self.run, time=value.time or self.now, attempt=tried)

        return replace(
            update,
            set={node: row(value) for node, value in update.set.items()},
            attempts={node: attempt(value) for node, value in update.attempts.items()},
        )

    def _entry(self, before: Head, after: Mapping[str, NodeState], turn: int, rescuer: Rescuer) -> LogEntry:
        """The next log entry, whose new shards are durable when this returns."""
        old = () if before.entry is None else before.entry.nodes
        shards: list[Shard] = []
        for number, part in enumerate(split_shards(after, before.nodes, old)):
            if isinstance(part, Shard):
                shards.append(part)
                continue
            # The commit and the turn are in the name: no other attempt has it.
            shard, data = write_rows(part, f"index/{self.run}/{self.identity[:16]}-{turn}-n{number}")
            self.objects.put(shard.at, data)
            shards.append(shard)
        known = before.entry
        condemned = None if known is None else known.condemned
        vouched = None if known is None else known.vouched
        oldest = None if known is None else known.oldest_release
        if self.housekeeping is not None:
            condemned, oldest = self.housekeeping.condemned, self.housekeeping.oldest_release
            vouched = self.housekeeping.vouched or vouched
        return LogEntry(
            sequence=before.sequence + 1,
            commit=self.identity,
            kind=self.kind,
            release=(before.release or 0) + 1 if self.kind in RELEASING else before.release,
            time=self.now,
            run=self.run,
            who=self.who,
            why=self.why,
            manifest=self.manifest,
            nodes=tuple(shards),
            snapshots={**({} if known is None else known.snapshots), **self.snapshots},
            results=self._results(None if known is None else known.results, rescuer),
            condemned=condemned,
            vouched=vouched,
            oldest_release=oldest,
            feedback_through=max(self.feedback_through, 0 if known is None else known.feedback_through),
        )

    def _results(self, known: ResultsBase | None, rescuer: Rescuer) -> ResultsBase | None:
        """The merge of result segments that reaches further; one that gc has condemned is not named."""
        new = self.results
        if new is None or rescuer.condemned(frozenset(pointer.at for pointer in new.objects)):
            return known
        return new if known is None or new.through >= known.through else known

    def _create(self, entry: LogEntry) -> bool:
        """Whether the entry is ours after we tried to create it; False: another writer has the number."""
        key, body = entry_key(entry.sequence), self._bytes(entry)
        failure: Exception | None = None
        for turn in range(_MAX_PUTS):
            try:
                self.objects.create(key, body)
            except Exception as error:  # noqa: BLE001 - an error of any kind may hide a write that was applied
                failure = error
            else:
                return True
            holder = self._holder(key, failure)
            if holder is not None:
                return holder == self.identity
            self.ports.pause(turn)
        if isinstance(failure, StoreError) and not isinstance(failure, UnansweredError):
            raise failure
        raise self._unknown(key) from failure

    def _bytes(self, entry: LogEntry) -> bytes:
        return entry.to_bytes(self.keys, self.store_id)

    def _holder(self, key: str, failure: Exception) -> str | None:
        """The identity of the commit that has this key, None where nobody has it."""
        try:
            return parse_entry(self.objects.get(key), key, self.keys, self.store_id).commit
        except NotFoundError:
            return None
        except SignatureError:
            # ours would be signed: the next look at the head says whose it is not
            return ""
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the question is open
            raise self._unknown(key) from ExceptionGroup("writing and reading back", [failure, error])

    def _unknown(self, key: str) -> CommitOutcomeUnknownError:
        return CommitOutcomeUnknownError(
            f"{self.objects.url}: the store did not answer whether {key} was written "
            f"(commit {self.identity})",
            _LOOK,
        )

    def _confirm(self, entry: LogEntry) -> None:
        """Send the same bytes again, which must be refused: so a store that lets two win is found out."""
        try:
            self.objects.create(entry_key(entry.sequence), self._bytes(entry))
        except AlreadyExistsError:
            return
        except Exception:  # noqa: BLE001 - the commit has landed; an answer to this question can wait
            return
        raise StoreError(
            f"{self.objects.url}: the store let log entry {entry.sequence} be created twice, so two runs "
            "could both believe that their release won (this release did land)",
            "do not let two runs use this store; move it to a local disk",
        )


def _conflict(conflicts: Sequence[Conflict], head: Head) -> ReleaseConflictError:
    newest = "" if head.entry is None else head.entry.run
    lines = [f"  {conflict.node}: {_found(conflict, newest)}" for conflict in conflicts[:_SHOWN]]
    if len(conflicts) > _SHOWN:
        lines.append(f"  and {len(conflicts) - _SHOWN} more")
    count = f"{len(conflicts)} node{'s' if len(conflicts) > 1 else ''}"
    return ReleaseConflictError(
        f"{count} changed since this command read the store:\n" + "\n".join(lines),
        "run again: it starts from the new release and takes up every finished fit",
    )


def _found(conflict: Conflict, newest: str) -> str:
    if conflict.expected != conflict.found:
        found = f"expected {conflict.expected or 'no version'}, found {conflict.found or 'no version'}"
        return f"{found} (run {conflict.run or newest})"
    if conflict.pin is not None:
        return f"{conflict.pin.who} pinned it: {conflict.pin.because}"
    return "somebody unpinned it"
