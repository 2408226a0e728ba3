"""Records that were rewritten, with digests that are right again: the audit believes facts, not conclusions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from oracle.workbench import Bench

from retraining.cli.entry import run_command
from retraining.operations.audit import audit_release
from retraining.operations.stored import open_stored

from .rewriting import rewrite

MANIFEST = """
validation: {scheme: time, blocks: 1w, holdout: 1, min_train: {rows: 20, blocks: 2}}
datasets: {d: {path: d.parquet, key: [id], time: t}}
defaults: {gate: {refit_shift: 100}, estimator: {type: Ridge}}
models:
  up: {dataset: d, target: {column: y, known_after: 1d}, features: [x]}
  down: {dataset: d, target: {column: y, known_after: 1d}, features: [x], inputs: {up: {missing: drop}}}
"""
DAY = 86_400_000_000


@pytest.fixture
def made(bench: Bench) -> Bench:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": np.arange(300), "x": rng.normal(size=300), "y": rng.normal(size=300)})
    frame["t"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(300) * 6, "h")
    bench.write(MANIFEST, d=frame)
    outcome = bench.run("2024-03-15")
    assert {word for word, _ in outcome.outcomes.values()} == {"promoted"}, outcome.outcomes
    return bench


def proof(bench: Bench):
    return audit_release(open_stored(str(bench.folder / "store"), None)).found


def tamper(bench: Bench, lineage, fit=lambda _: None):
    rewrite(bench.folder / "store", bench.store(), lineage=lineage, fit=fit)
    return proof(bench)


def some_block(document):
    """A fit that predicted a block which a reader read, in the middle of them."""
    names = sorted(name for name in document["fits"] if document["fits"][name]["trained"])
    return names[len(names) // 2]


def test_an_untouched_rewrite_is_proven(made):
    assert tamper(made, lambda _: None).proven


def test_a_fit_that_admits_a_later_label_in_all_its_records_is_a_leak_at_every_reader(made):
    marked = {}

    def later(document):
        if document["node"] == "up":
            fact = document["fits"][some_block(document)]["trained"]
            fact["known_through"] += 30 * DAY
            marked["keys"] = fact["keys"]
            marked["through"] = fact["known_through"]

    def same(metrics):
        if metrics["trained"]["keys"] == marked.get("keys"):
            metrics["trained"]["known_through"] = marked["through"]

    # the documents' pack is found first, so that its facts are known when the fits' packs are rewritten
    rewrite(made.folder / "store", made.store(), lineage=later)
    found = tamper(made, lambda _: None, same)
    assert found.gaps == []
    assert {(one.leak, one.node, one.upstream) for one in found.violations} >= {
        ("label", "up", None),
        ("label", "down", "up"),
    }


def test_a_piece_that_came_from_a_later_fit_is_a_leak(made):
    def swap(document):
        if document["node"] == "up":
            last = document["fits"][max(document["fits"])]["fingerprint"]
            document["pieces"] = [[*one[:1], last, *one[2:]] for one in document["pieces"]]

    found = tamper(made, swap)
    assert ("label", "down", "up") in {(one.leak, one.node, one.upstream) for one in found.violations}
    # and the workers' own records say otherwise
    assert any("contradicts" in gap.text for gap in found.gaps)


def test_a_row_that_read_the_future_is_a_leak(made):
    def gap(document):
        for feed in document["feeds"]:
            feed["cells"][-1][5] = 3 * 3_600_000_000

    (one,) = tamper(made, gap).violations
    assert (one.leak, one.node, one.upstream) == ("availability", "down", "up")
    assert "3 h before they could exist" in one.text


def test_the_verb_tells_edge_cell_fit_and_leak_and_ends_with_1(made, capsys):
    arguments = ["audit", "--store", str(made.folder / "store")]
    assert run_command(arguments) == 0
    assert "is proven free of leaks" in capsys.readouterr().out

    def gap(document):
        for feed in document["feeds"]:
            feed["cells"][2][5] = 3 * 3_600_000_000

    tamper(made, gap)
    assert run_command(arguments) == 1
    out = capsys.readouterr().out
    assert "LEAKS: 1 violation" in out
    assert "availability leak: down <- up (as up), 1 cell" in out
    assert "learnt by <" in out
    assert run_command([*arguments, "--select", "up"]) == 0
    assert run_command([*arguments, "--select", "nobody"]) == 2
    assert run_command([*arguments, "--release", "7"]) == 2


def forget_feed(document):
    document["feeds"] = []


def forget_cell(document):
    for feed in document["feeds"]:
        del feed["cells"][3]


def forget_cell_and_its_rows(document):
    for feed in document["feeds"]:
        part = feed["cells"][3][0]
        del feed["cells"][3]
        feed["rows"] = [one for one in feed["rows"] if one[0] != part]


def forget_fit(document):
    document["fits"].popitem()


def forget_what_a_fit_learnt(document):
    document["fits"][some_block(document)]["trained"] = None


def forget_when(document):
    document["fits"][some_block(document)]["trained"]["known_through"] = None


def forget_input(document):
    document["inputs"], document["feeds"] = [], []


def rename(document):
    document["version"] = "0" * 16


FORGOTTEN = [
    forget_feed,
    forget_cell,
    forget_cell_and_its_rows,
    forget_fit,
    forget_what_a_fit_learnt,
    forget_when,
    forget_input,
    rename,
]


@pytest.mark.parametrize("forget", FORGOTTEN, ids=lambda one: one.__name__)
def test_what_is_left_out_of_the_records_cannot_be_proven(made, forget):
    found = tamper(made, forget)
    assert not found.proven
    assert found.gaps


def test_a_release_from_before_lineage_cannot_be_proven_and_the_text_says_what_to_do(made):
    rewrite(
        made.folder / "store", made.store(), lineage=lambda _: None, version=lambda one: one.pop("lineage")
    )
    found = proof(made)
    assert {gap.node for gap in found.gaps} == {"up", "down"}
    assert "before lineage was recorded" in found.gaps[0].text


def test_a_flipped_byte_is_no_proof(made):
    pack = made.folder / "store" / made.state("down").document.pack
    data = bytearray(pack.read_bytes())
    data[len(data) // 3] ^= 1
    pack.write_bytes(bytes(data))
    found = proof(made)
    assert not found.proven
