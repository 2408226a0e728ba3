"""The audit's rules on lineages written by hand: two nodes and an edge, then what may be wrong with each record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from retraining.decide.audit import Root, audit
from retraining.decide.lineage import FedCell, Feed, Handed, Lineage, Trained, lineage_from_json

DAY = 86_400_000_000
T = 1_700_000_000_000_000


def fit(block: int) -> tuple[str, Trained]:
    """M(<block): what was decided and known in the days before it, a day each block."""
    parts = dict.fromkeys(range(block), 10)
    trained = Trained(
        rows=10 * block,
        keys=f"k{block}",
        parts=parts,
        known_through=T + block * DAY,
        decided_through=T + block * DAY - 1,
    )
    return f"fit{block}", trained


def piece(block: int, by: int) -> Handed:
    return Handed(
        fingerprint=f"piece{block}",
        fit=f"fit{by}",
        part=block,
        rows=10,
        keys="k",
        decided_from=T + block * DAY,
    )


def cell(block: int, gap: int = 0) -> FedCell:
    return FedCell(part=block, upstream=0, piece=block - 1, rows=10, decided_from=T + block * DAY, gap=gap)


UP = Lineage(
    node="up",
    version="v-up",
    scheme="time",
    inputs=(),
    fits={f"<{block}": fit(block) for block in range(1, 6)},
    pieces=tuple(piece(block, block) for block in range(1, 6)),
    feeds=(),
)
FEED = Feed(
    column="up",
    kind="row",
    context=None,
    upstreams=("UP",),
    cells=tuple(cell(block) for block in range(1, 6)),
    rows={0: (0, 10), **dict.fromkeys(range(1, 6), (10, 0))},
)
DOWN = Lineage(
    node="down",
    version="v-down",
    scheme="time",
    inputs=("up",),
    fits={"<5": fit(5)},
    pieces=(piece(5, 5),),
    feeds=(FEED,),
)
ROOTS = [
    Root(node="up", version="v-up", lineage="UP", shipped="<5", inputs=()),
    Root(node="down", version="v-down", lineage="DOWN", shipped="<5", inputs=("up",)),
]


def check(up=UP, down=DOWN, roots=ROOTS, **more):
    return audit(roots, {"UP": up, "DOWN": down, **more})


def told(found):
    return [(one.leak, one.node, one.upstream) for one in found.violations]


def with_fit(lineage, left_out, **changes):
    fingerprint, trained = lineage.fits[left_out]
    return replace(lineage, fits={**lineage.fits, left_out: (fingerprint, replace(trained, **changes))})


def with_feed(**changes):
    return replace(DOWN, feeds=(replace(FEED, **changes),))


def test_what_is_as_it_should_be_is_counted_and_proven():
    found = check()
    assert (found.proven, found.violations, found.gaps) == (True, [], [])
    assert (found.nodes, found.versions, found.fits, found.edges) == (2, 2, 6, 1)
    assert (found.cells, found.predictions, found.rows) == (5, 6, 10 * (1 + 2 + 3 + 4 + 5) + 50)


def test_a_lineage_is_what_its_document_says():
    for lineage in (UP, DOWN, replace(DOWN, base="UP", scheme="folds")):
        assert lineage_from_json(lineage.to_json()) == lineage


def test_a_label_that_is_known_as_a_row_is_decided_is_no_leak_and_one_a_moment_later_is():
    assert check(with_fit(UP, "<3", known_through=T + 3 * DAY)).proven
    found = check(with_fit(UP, "<3", known_through=T + 3 * DAY + 1))
    assert told(found) == [("label", "up", None), ("label", "down", "up")]
    assert "block 3" in found.violations[1].cell
    assert found.violations[1].fit == "<5"


def test_a_fit_that_learnt_from_a_row_of_the_moment_that_it_predicts_is_a_leak():
    assert told(check(with_fit(UP, "<3", decided_through=T + 3 * DAY))) == [("label", "up", None)]


def test_a_label_goes_through_two_edges_by_what_a_fit_learnt_from_and_by_what_it_was_shown():
    last = replace(
        DOWN, node="last", inputs=("down",), feeds=(replace(FEED, column="down", upstreams=("DOWN",)),)
    )
    cells = tuple(replace(cell(5), piece=0) for _ in range(1))
    rows = {**dict.fromkeys(range(5), (0, 10)), 5: (10, 0)}
    last = replace(last, feeds=(replace(last.feeds[0], cells=cells, rows=rows),))
    root = Root(node="last", version="v-down", lineage="LAST", shipped="<5", inputs=("down",))
    assert check(roots=[*ROOTS, root], LAST=last).proven
    for block in (2, 5):  # one that down's fit learnt from, and the one that it predicted
        up = with_fit(UP, f"<{block}", known_through=T + 9 * DAY)
        found = check(up, roots=[root], LAST=last)
        assert ("label", "last", "down") in told(found)
        assert any(f"up <{block}" in one.text for one in found.violations if one.node == "last")


def test_a_prediction_of_the_future_is_a_leak_and_one_of_this_moment_is_none():
    assert check(down=with_feed(cells=tuple(cell(b, gap=0) for b in range(1, 6)))).proven
    found = check(down=with_feed(cells=tuple(cell(b, gap=60_000_000 * (b == 2)) for b in range(1, 6))))
    assert told(found) == [("availability", "down", "up")]
    assert "1 min before" in found.violations[0].text


def test_an_aggregates_cells_count_what_was_read_and_others_who_read():
    many = {0: (0, 10), **dict.fromkeys(range(1, 6), (25, 0))}
    assert check(down=with_feed(kind="group", rows=many)).proven
    assert check(down=with_feed(rows=many)).gaps
    assert check(down=with_feed(kind="group", rows=many, cells=FEED.cells[1:])).gaps


def test_a_champions_fit_is_judged_by_what_it_learnt_from_then():
    base = replace(DOWN, node="down")
    bad = with_fit(UP, "<3", known_through=T + 9 * DAY)
    # today's column comes from a fit that knew too much, and the champion's fit never learnt from it
    now = replace(DOWN, base="BASE", feeds=(replace(FEED, upstreams=("BAD",)),))
    lineages = {"UP": UP, "BASE": base, "BAD": replace(bad, version="v2"), "NOW": now}
    root = Root(node="down", version="v-down", lineage="NOW", shipped="<5", inputs=("up",))
    found = audit([root], lineages)
    assert {(one.leak, one.node, one.upstream) for one in found.violations} == {
        ("label", "up", None),
        ("label", "down", "up"),
    }
    assert not [one for one in found.violations if one.node == "down" and one.upstream is None]


def folds(node, upstreams=(), *, seen=None):
    fits = {}
    for left in ("", "0", "1"):
        parts = {fold: 5 for fold in (0, 1) if str(fold) not in left}
        fits[f"-{left}"] = (f"{node}-{left}", Trained(
            rows=sum(parts.values()), keys="k", parts=parts, known_through=None, decided_through=None
        ))  # fmt: skip
    pieces = tuple(
        Handed(
            fingerprint=f"p{fold}",
            fit=f"{node}-{seen or fold}",
            part=fold,
            rows=5,
            keys="k",
            decided_from=None,
        )
        for fold in (0, 1)
    )
    lineage = Lineage(node=node, version=node, scheme="folds", inputs=(), fits=fits, pieces=pieces, feeds=())
    if not upstreams:
        return lineage
    cells = tuple(
        FedCell(part=fold, upstream=0, piece=fold, rows=5, decided_from=None, gap=None) for fold in (0, 1)
    )
    feed = Feed(
        column="a",
        kind="row",
        context=frozenset(),
        upstreams=upstreams,
        cells=cells,
        rows={0: (5, 0), 1: (5, 0)},
    )
    whole = {"-": fits["-"]}
    return replace(lineage, inputs=("a",), fits=whole, pieces=(), feeds=(feed,))


def test_by_folds_no_fit_behind_a_row_saw_its_fold():
    root = Root(node="b", version="b", lineage="B", shipped="-", inputs=("a",))
    assert audit([root], {"A": folds("a"), "B": folds("b", ("A",))}).proven
    found = audit([root], {"A": folds("a", seen="1"), "B": folds("b", ("A",))})
    # a -1 predicts both folds: fold 0 by its own labels
    assert told(found) == [("label", "a", None), ("label", "b", "a")]


MISSING = {
    "no lineage": ({}, [replace(ROOTS[1], lineage=None)]),
    "of another version": ({}, [replace(ROOTS[1], version="v-other")]),
    "other inputs": ({}, [replace(ROOTS[1], inputs=("up", "more"))]),
    "no shipped fit": ({}, [replace(ROOTS[1], shipped="<6")]),
    "an unknown piece": ({"down": with_feed(cells=(*FEED.cells[:4], replace(cell(5), piece=-1)))}, ROOTS),
    "a piece of nobody": ({"up": replace(UP, pieces=(replace(UP.pieces[0], fit="?"), *UP.pieces[1:]))}, ROOTS),
    "a fit without facts": ({"up": replace(UP, fits={**UP.fits, "<2": ("fit2", None)})}, ROOTS),
    "a fit without moments": ({"up": with_fit(UP, "<2", known_through=None)}, ROOTS),
    "rows that do not add up": ({"up": with_fit(UP, "<2", rows=19)}, ROOTS),
    "a forgotten feed": ({"down": replace(DOWN, feeds=())}, ROOTS),
    "a forgotten cell": ({"down": with_feed(cells=FEED.cells[1:])}, ROOTS),
    "rows of unknown source": ({"down": with_feed(rows={**FEED.rows, 0: (0, 9)})}, ROOTS),
    "no moment of a cell": ({"down": with_feed(cells=(replace(cell(1), decided_from=None), *FEED.cells[1:]))}, ROOTS),
    "an upstream that is gone": ({"down": with_feed(upstreams=("GONE",))}, ROOTS),
}  # fmt: skip


@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_no_proof(what):
    changed, roots = MISSING[what]
    found = check(**changed, roots=roots)
    assert not found.violations
    assert found.gaps
    assert not found.proven
