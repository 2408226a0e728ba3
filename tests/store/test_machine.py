"""Writers, readers, gc and rollback in any order beside a plain dict, with the store's clock in the test's hand."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from effort import examples
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from retraining.errors import NotFoundError, ReleaseConflictError
from retraining.operations.gc import clean
from retraining.operations.rollback import rollback
from retraining.operations.stored import Stored
from retraining.release.update import Update
from retraining.store.commits import Ports
from retraining.store.condemned import pointers_of
from retraining.store.garbage import Keep
from retraining.store.log import Store, store_on
from retraining.store.packs import Blob, Record, read_blob
from retraining.store.results import load_results, merge_results, write_segment
from retraining.store.runs import alive_key
from retraining.store.signing import KEY_VARIABLE, read_keys

from .places import MemoryObjects
from .rows import commit, fit, state, write_pack

NODES = ("a", "b")
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
GRACE = dt.timedelta(days=1)


class Work:
    """A run under way: what it read when it began, and what it will release."""

    def __init__(self, name, store, nodes, seed):
        self.name = name
        # the head before everything else
        self.head = store.read_head()
        base = None if self.head.entry is None else self.head.entry.results
        self.index = load_results(store.objects, base, store.keys)
        self.wanted = {node: f"{node}-{seed}" for node in nodes}
        self.batches = 0


class Machine(RuleBasedStateMachine):
    """`served` is what the current release serves, `history` what each release served when it was made."""

    works = Bundle("works")
    keys = ""

    def __init__(self):
        super().__init__()
        self.objects = MemoryObjects()
        self.objects.clock = START
        patient = Ports(sleep=lambda seconds: None)
        made = store_on(self.objects, create=True)
        keys = read_keys({KEY_VARIABLE: self.keys})
        self.store = Store(self.objects, store_id=made.store_id, ports=patient, keys=keys)
        self.stored = Stored(store=self.store, url="memory:", manifest=None)
        self.served: dict[str, str] = {}
        self.history: dict[int, dict[str, str]] = {}
        self.oldest = 1
        self.runs = 0

    # What time and people do

    @rule(hours=st.sampled_from([1, 13, 25]))
    def wait(self, hours):
        self.objects.clock += dt.timedelta(hours=hours)

    @rule(target=works, nodes=st.sets(st.sampled_from(NODES), min_size=1), seed=st.integers(0, 1))
    def begin(self, nodes, seed):
        self.runs += 1
        return Work(f"{1_795_000_000_000 + self.runs}-{self.runs:08x}", self.store, sorted(nodes), seed)

    @rule(work=works, segment=st.booleans(), alive=st.booleans())
    def make_fits(self, work, segment, alive):
        """Makes what is not in the store yet, in one pack for each fit; a run that never ends has crashed."""
        if alive:
            self.objects.overwrite(alive_key(work.name), b"{}")
        packs = {}
        for name in work.wanted.values():
            if work.index.find("fit", name) is None:
                work.batches += 1
                records = write_pack(
                    self.objects, work.name, work.batches, fit(name, f"model {name}".encode())
                )
                packs[records[0].blobs[0].pack] = records
                work.index.add(records)
        if packs and segment:
            at = int(self.objects.now().timestamp() * 1000)
            write_segment(self.objects, work.name, work.batches, at, packs, self.store.keys)

    @rule(work=consumes(works), merge=st.booleans())
    def release(self, work, merge):
        """Reads its models as a run does before it ships them, writes documents, and commits."""
        rows = {}
        for node, name in work.wanted.items():
            record = work.index.find("fit", name)
            try:
                body = None if record is None else read_blob(self.objects, record.blobs[0])
            except NotFoundError:
                body = None
            if body is None:
                work.batches += 1
                (record,) = write_pack(
                    self.objects, work.name, work.batches, fit(name, f"model {name}".encode())
                )
            document = {"format": 1, "node": node, "fits": {"all": {"fingerprint": name}}}
            blob = Blob(role="version", format="json", data=json.dumps(document).encode())
            work.batches += 1
            (told,) = write_pack(
                self.objects,
                work.name,
                work.batches,
                Record(action="version", fingerprint=f"{name} {work.name}", blobs=(blob,)),
            )
            # a version of its own: two runs that make the same model still conflict
            version = f"{name} {work.name}"
            rows[node] = state(node, version, artifact=record.blobs[0], document=told.blobs[0])
        before, now = self._guarded(work.head, rows), self._guarded(self.store.read_head(), rows)
        if merge:
            base = None if work.head.entry is None else work.head.entry.results
            merge_results(self.objects, work.name, base, self.store.keys)
        try:
            head = commit(self.store, Update(set=rows), work.head, run=work.name)
        except ReleaseConflictError as error:
            refused = error.message
        else:
            refused = ""
        if refused:
            # another release or a rollback came between, or gc deleted a document that waited for days
            assert before != now or "gc" in refused
            return
        assert before == now
        self.served |= {node: f"model {name}" for node, name in work.wanted.items()}
        self.history[head.release] = dict(self.served)

    @rule(releases=st.integers(1, 3), days=st.sampled_from([0, 2]), later=st.sampled_from([0, 13, 25]))
    def gc(self, releases, days, later):
        self.objects.clock += dt.timedelta(hours=later)
        keep = Keep(releases=releases, age=dt.timedelta(days=days), grace=GRACE)
        shown = clean(self.stored, keep, act=False, who="w")
        done = clean(self.stored, keep, act=True, who="w")
        assert shown.condemned == done.condemned
        assert shown.deleted == done.deleted
        if done.kept:
            assert len(done.kept) >= min(releases, len(self.history) - self.oldest + 1)
            self.oldest = min(done.kept)

    @precondition(lambda self: len(self.history) > self.oldest)
    @rule(data=st.data())
    def roll_back(self, data):
        number = data.draw(st.sampled_from(range(self.oldest, max(self.history))))
        done = rollback(self.stored, number)
        if done.release is not None:
            self.served = dict(self.history[number])
            self.history[done.release] = dict(self.served)
        assert self.served == self.history[number]

    # What must always hold

    @invariant()
    def the_current_release_is_what_was_released_last(self):
        assert self._read(self.store.read_head()) == self.served

    @invariant()
    def every_kept_release_is_whole_and_unchanged(self):
        for number in range(self.oldest, len(self.history) + 1):
            assert self._read(self.store.read_release(number)) == self.history[number]

    @invariant()
    def nothing_that_the_head_names_is_condemned_or_gone(self):
        for row in self.store.read_head().nodes.values():
            for pointer in pointers_of(row):
                assert pointer.pack in self.objects.bodies

    @invariant()
    def a_dropped_release_is_refused_by_name(self):
        for number in range(1, self.oldest):
            with pytest.raises(NotFoundError, match="no longer kept"):
                self.store.read_release(number)

    @staticmethod
    def _guarded(head, nodes):
        """What a commit of these nodes requires to be as it was."""
        rows = {node: head.nodes.get(node) for node in nodes}
        return {
            node: (None, False) if row is None else (row.version, row.pin is not None)
            for node, row in rows.items()
        }

    def _read(self, head):
        return {
            node: read_blob(self.objects, row.artifact).decode()
            for node, row in head.nodes.items()
            if row.version is not None
        }


class SignedMachine(Machine):
    """The same with a key."""

    keys = "a-key-of-enough-letters"


SOME = settings(
    max_examples=examples(12),
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    # a failure is shown as it was found: to make it smaller takes minutes
    phases=(Phase.explicit, Phase.generate),
)
TestMachine = Machine.TestCase
TestMachine.settings = SOME
TestSignedMachine = SignedMachine.TestCase
TestSignedMachine.settings = settings(SOME, max_examples=examples(4))
