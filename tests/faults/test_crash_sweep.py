"""A process that dies after any call to the store: what is visible is old or new, and running again ends the same.

A dead process makes no further call, so what it leaves is what the store held at that moment. The store
is in memory and each of its states is kept; a crash before a call leaves what the call before it left.
(`.ci/verbs faults` also raises the crash inside every call.)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from retraining.errors import NotFoundError
from retraining.operations.gc import clean
from retraining.operations.pin import pin
from retraining.operations.rollback import rollback
from retraining.operations.stored import open_stored
from retraining.store.garbage import Keep
from retraining.store.log import store_on

from .memory import MANIFEST, MemoryBench, check_readable, memory, snapshots, stored_fits

pytestmark = pytest.mark.slow

WORSE = MANIFEST.replace(
    "features: [x], estimator: {type: Ridge}",
    "features: [x], estimator: {type: Ridge, parameters: {alpha: 1000}}",
)


NOTHING_OLD = Keep(releases=1, age=dt.timedelta(0), grace=dt.timedelta(0))


@dataclass
class Scene:
    """What was there before, and the step in which the process dies."""

    before: list[Callable[[MemoryBench, object], object]]
    step: Callable[[MemoryBench, object], object]
    least_states: int


def first(bench, objects):
    bench.write()
    return bench.run(objects)


def with_new_rows(bench, objects):
    bench.write(n=90)
    return bench.run(objects)


def with_a_worse_recipe(bench, objects):
    bench.write(WORSE)
    return bench.run(objects)


def pinned(bench, objects):
    with bench.opened(objects):
        return pin(open_stored("memory", None), ["a"], "as it is")


def cleaned(bench, objects):
    with bench.opened(objects):
        return clean(open_stored("memory", None), NOTHING_OLD, act=True, who="ann@host")


def rolled_back(bench, objects):
    with bench.opened(objects):
        if store_on(objects).read_head().entry.kind != "rollback":
            rollback(open_stored("memory", None), 1, because="back")


SCENES = {
    "first release": Scene([], first, 20),
    "new data": Scene([first], with_new_rows, 15),
    "attempts alone": Scene([first], with_a_worse_recipe, 8),
    "a pin": Scene([first], pinned, 3),
    "a rollback": Scene([with_a_worse_recipe, first], rolled_back, 3),
    "gc, condemning": Scene([first, with_new_rows, with_a_worse_recipe], cleaned, 3),
    "gc, sweeping": Scene([first, with_new_rows, with_a_worse_recipe, cleaned], cleaned, 5),
}


@pytest.mark.parametrize("name", list(SCENES))
def test_wherever_a_process_dies_running_again_ends_as_if_nothing_had_happened(bench, monkeypatch, name):
    scene = SCENES[name]
    worked = MemoryBench(bench, monkeypatch)
    start = memory({})
    for before in scene.before:
        before(worked, start)
    undisturbed = memory(start.bodies)
    objects, states = snapshots(undisturbed)
    outcome = scene.step(worked, objects)
    expected = store_on(undisturbed).read_head()
    old = store_on(memory(start.bodies)).read_head().logical() if start.bodies else None
    total = set(stored_fits(undisturbed.bodies))
    commits = 0
    for what, state in states:
        left = memory(state)
        try:
            head = check_readable(left).read_head()
        except NotFoundError:
            assert "store.json" not in state
        else:
            assert head.logical() in (old, expected.logical()) or (old is None and not head.nodes), what
            commits += head.sequence == expected.sequence
        had = set(stored_fits(state))
        again = scene.step(worked, left)
        after = check_readable(left).read_head()
        assert after.logical() == expected.logical(), what
        assert (after.release, after.entry.kind) == (expected.release, expected.entry.kind), what
        if hasattr(outcome, "fits_made"):
            assert after.sequence == expected.sequence, what
            assert again.fits_made == len(total - had), what
            assert max(stored_fits(left.bodies).values()) == 1, what
    assert 0 < commits < len(states)
    assert len(states) >= scene.least_states
    print(f"{name}: {len(states)} states of the store, each continued")
