"""The audit over several releases: champions as upstreams, fed with other columns than they learnt from, gone packs."""

from __future__ import annotations

import pytest
from execution.pair_bench import AS_OF, manifest, outcomes, rows
from oracle.workbench import Bench

from retraining.decide.fits import Before, Folds
from retraining.execution.candidates import Candidate
from retraining.operations.audit import audit_release
from retraining.operations.stored import open_stored

pytestmark = pytest.mark.slow

STAYS = "retrain_when: definition"


def proof(bench: Bench, number=None):
    return audit_release(open_stored(str(bench.folder / "store"), None), number).found


def in_sample(monkeypatch, node, side):
    """One side of a node hands down a column of fits that saw its labels."""
    honest = Candidate.column_fits

    def planted(self, context):
        if self.node != node or (self.side == "challenger") != (side == "challenger"):
            return honest(self, context)
        whole = Folds(frozenset()) if self.cut is None else Before(self.cut)
        early = 0 if self.cut is None else 6  # blocks that lack upstream columns stay as they are
        parts = sorted(self.data.rows)
        kept = {fit: own for fit, own in honest(self, context).items() if own[0] in parts[:early]}
        return {**kept, whole: parts[early:]}

    monkeypatch.setattr(Candidate, "column_fits", planted)


@pytest.fixture(params=["time", "folds"])
def scheme(request) -> str:
    return request.param


def three_releases(bench: Bench, scheme: str, plant=lambda: None):
    """b stays a champion: checked with a new a in release 2, and below a new c in release 3."""
    more = {"scheme": scheme, "b": STAYS}
    bench.write(manifest(**more, c=STAYS), d=rows())
    assert set(outcomes(bench.run(AS_OF)).values()) == {"promoted"}
    bench.write(manifest(**more, c=STAYS, a_features="[x1, x2]"))
    assert outcomes(bench.run(AS_OF))["a"] == "promoted"
    plant()
    bench.write(manifest(**more, c=f"{STAYS}, preprocess: none", a_features="[x1, x2]"))
    assert outcomes(bench.run(AS_OF)) == {"a": "kept", "b": "kept", "c": "promoted"}


def test_a_champion_that_hands_down_another_column_than_it_was_released_with_is_proven(bench, scheme):
    three_releases(bench, scheme)
    assert bench.state("b").column not in (None, bench.state("b").version)
    for number in (1, 2, 3):
        found = proof(bench, number)
        assert (found.violations, found.gaps) == ([], []), number
    # c learnt from b, which was fed with the new a and had learnt from the old one: both stand behind it
    assert proof(bench, 3).versions > proof(bench, 1).versions == 3


@pytest.mark.parametrize("node", ["a", "b"])
def test_a_champion_whose_column_comes_from_the_wrong_fit_is_found(bench, monkeypatch, scheme, node):
    three_releases(bench, scheme, lambda: in_sample(monkeypatch, node, "champion"))
    found = {(one.leak, one.node, one.upstream) for one in proof(bench, 3).violations}
    assert ("label", "c", "b") in found
    assert ("label", node, None) in found
    assert not proof(bench, 2).violations
