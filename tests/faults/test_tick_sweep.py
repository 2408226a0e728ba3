"""A tick that dies after any call to the store: another one ends what it began, as of the same instant, and once."""

from __future__ import annotations

import datetime as dt

import pytest

from retraining.operations.run import RunOptions
from retraining.operations.tick import tick
from retraining.store.log import store_on

from .memory import MANIFEST, MemoryBench, check_readable, memory, snapshots, stored_fits

pytestmark = pytest.mark.slow

SCHEDULED = MANIFEST.replace("features: [x],", 'features: [x], retrain_when: {schedule: "0 3 * * 1"},')
#: A Monday after the `AS_OF` of the first run.
NOW, INSTANT = dt.datetime(2024, 5, 6, 9, tzinfo=dt.UTC), "2024-05-06T03:00:00Z"


def ticked(bench, objects):
    with bench.opened(objects):
        return tick(
            bench.bench.folder / "m.yaml",
            store="memory",
            options=RunOptions(backend="serial"),
            clock=lambda: NOW,
        )


@pytest.mark.parametrize("rows", [90, 60], ids=["new data", "nothing changed"])
def test_wherever_a_tick_dies_the_next_one_ends_as_if_nothing_had_happened(bench, monkeypatch, rows):
    worked = MemoryBench(bench, monkeypatch)
    start = memory({})
    worked.write(SCHEDULED)
    worked.run(start)
    worked.write(SCHEDULED, n=rows)
    undisturbed = memory(start.bodies)
    objects, states = snapshots(undisturbed)
    (act,) = ticked(worked, objects).acts
    assert act.as_of == INSTANT
    expected = store_on(undisturbed).read_head()
    old = store_on(memory(start.bodies)).read_head().logical()
    held = answered = 0
    for what, state in states:
        seen = check_readable(memory(state)).read_head()
        assert seen.logical() in (old, expected.logical()), what
        # shortly after, the dead run may still be taken for living
        fresh = memory(state)
        fresh.written = {}
        soon = ticked(worked, fresh)
        if any(one.outcome is None for one in soon.acts):
            held += 1
            assert store_on(fresh).read_head().sequence == seen.sequence
        left = memory(state)
        acts = ticked(worked, left).acts
        answered += not acts
        after = check_readable(left).read_head()
        assert (after.logical(), after.sequence) == (expected.logical(), expected.sequence), what
        assert max(stored_fits(left.bodies).values()) == 1, what
        assert ticked(worked, left).acts == (), what
    assert answered > 0
    assert (held > 0) == (rows != 60)
    print(f"tick: {len(states)} states of the store, each continued; {held} times held by the dead run")
