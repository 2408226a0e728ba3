"""An approval releases the largest part of what waits that fits, and never an unfit pair: equal to brute force."""

from __future__ import annotations

from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from retraining.release.approval import Reader, approve
from retraining.release.update import Update, apply, mismatches
from retraining.release.values import NodeState

from .test_update import NAMES, quick


@st.composite
def waiting(draw: st.DrawFn):
    """A released graph, the challengers of a run that wait, and the champions that were checked with them."""
    reads = {
        name: sorted(draw(st.sets(st.sampled_from(NAMES[:position])))) if position else []
        for position, name in enumerate(NAMES)
    }
    now = {
        name: NodeState(node=name, version=f"{name}1", wiring={up: f"{up}1" for up in reads[name]})
        for name in NAMES
    }
    new = draw(st.sets(st.sampled_from(NAMES), min_size=1))
    held, readers = {}, {}
    for name in NAMES:
        above = [up for up in reads[name] if up in new]
        wiring = {up: f"{up}2" if up in new else f"{up}1" for up in reads[name]}
        if name in new:
            held[name] = NodeState(node=name, version=f"{name}2", wiring=wiring)
        elif above:
            # fed by hand-downs of its direct upstreams alone: its own column keeps its name
            readers[name] = Reader(
                version=f"{name}1",
                new=frozenset(above),
                wiring=wiring,
                column=f"{name}1",
                checked=tuple(above),
            )
    unapproved = frozenset(draw(st.sets(st.sampled_from(sorted(new)))))
    moved = draw(st.sets(st.sampled_from(NAMES), max_size=1))
    for name in moved:  # something else was released since
        for reader, row in now.items():
            if name in row.wiring:
                now[reader] = NodeState(
                    node=reader, version=row.version, wiring={**row.wiring, name: f"{name}3"}
                )
        now[name] = NodeState(node=name, version=f"{name}3", wiring=now[name].wiring)
    return now, held, readers, unapproved


def fits(now, held, readers, chosen) -> bool:
    rows = {name: held[name] for name in chosen}
    for name, reader in readers.items():
        if reader.new & set(chosen) and now[name].version == reader.version:
            rows[name] = NodeState(node=name, version=now[name].version, wiring=reader.wiring)
    return not mismatches(apply(now, Update(set=rows)))


@quick
@given(waiting())
def test_the_largest_part_that_fits_is_released(case):
    now, held, readers, unapproved = case
    chosen = approve(now, held, readers, unapproved=unapproved, named=frozenset())
    candidates = sorted(set(held) - unapproved)
    parts = chain.from_iterable(combinations(candidates, size) for size in range(len(candidates), -1, -1))
    best = next(set(part) for part in parts if fits(now, held, readers, part))
    assert set(chosen.promoted) == best
    assert fits(now, held, readers, chosen.promoted)
    assert chosen.left == set(held) - best


@quick
@given(waiting(), st.sampled_from(NAMES))
def test_a_named_challenger_is_released_or_the_pair_that_forbids_it_is_named(case, name):
    now, held, readers, unapproved = case
    named = {name} & set(held)
    chosen = approve(now, held, readers, unapproved=unapproved - named, named=named)
    if named <= set(chosen.promoted):
        assert chosen.unfit is None
    else:
        assert not chosen.promoted
        assert chosen.unfit is not None
