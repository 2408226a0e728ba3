"""A rollback restores an old map, whatever happened since; a part of one never leaves an unfit pair."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retraining.release.rollback import changes, restoring, together
from retraining.release.update import apply, mismatches
from retraining.release.values import NodeState, Pin

from .test_update import NAMES, quick

PIN = Pin(who="ann@host", time="2026-11-26T00:00:00Z", because="rollback to release 1")
VERSIONS = st.sampled_from(["v1", "v2", "v3"])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, NodeState]:
    """A node table as runs leave it: every node reads some nodes before it, in the versions that are served."""
    versions: dict[str, str | None] = {}
    table = {}
    for position, name in enumerate(NAMES):
        if not draw(st.booleans()) and draw(st.booleans()):
            continue
        served = [other for other in NAMES[:position] if versions.get(other) is not None]
        reads = draw(st.sets(st.sampled_from(served))) if served else set()
        versions[name] = draw(st.none() | VERSIONS)
        wiring = {other: versions[other] or "" for other in reads} if versions[name] is not None else {}
        table[name] = NodeState(node=name, version=versions[name], wiring=wiring)
    return table


@quick
@given(tables(), tables())
def test_the_old_map_is_served_again_and_every_node_that_changed_is_pinned(now, old):
    after = apply(now, restoring(now, old, PIN))
    assert changes(after, old) == ()
    moved = {change.node for change in changes(now, old)}
    assert {name for name, row in after.items() if row.pin is not None} == moved
    assert mismatches(after) == ()


@quick
@given(tables(), tables(), st.sets(st.sampled_from(NAMES)))
def test_a_part_is_told_what_must_go_along_and_fits_with_it(now, old, chosen):
    unfit, along = together(now, old, PIN, chosen)
    assert chosen <= along
    assert mismatches(apply(now, restoring(now, old, PIN, along))) == ()
    if not unfit:
        assert along == chosen
    else:
        assert mismatches(apply(now, restoring(now, old, PIN, chosen))) == unfit


@quick
@given(tables(), tables())
def test_what_changed_is_what_is_served_otherwise(before, after):
    found = {change.node: change.change for change in changes(before, after)}
    for name in NAMES:
        old, new = before.get(name), after.get(name)
        versions = (old.version if old else None, new.version if new else None)
        if versions == (None, None):
            assert name not in found
        elif versions[0] is None:
            assert found[name] == "added"
        elif versions[1] is None:
            assert found[name] == "removed"
        else:
            same = versions[0] == versions[1] and dict(old.wiring) == dict(new.wiring)
            assert (name in found) != same
