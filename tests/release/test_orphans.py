"""Pruning never takes away what something served still reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retraining.release.orphans import prunable
from retraining.release.update import Update, apply, mismatches

from .test_rollback import PIN, tables
from .test_update import NAMES, quick


@quick
@given(tables(), st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_what_is_left_fits_and_nothing_more_could_go(nodes, planned, pinned):
    nodes = apply(nodes, Update(pins=dict.fromkeys(pinned & nodes.keys(), PIN)))
    removed, stay = prunable(nodes, planned)
    assert removed | stay.keys() == nodes.keys() - planned
    assert not removed & (pinned | planned)
    assert mismatches(apply(nodes, Update(removed=removed))) == ()
    for name in stay.keys() - pinned:
        assert mismatches(apply(nodes, Update(removed=removed | {name}))) != ()
