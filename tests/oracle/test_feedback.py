"""Labels that come by feedback make the release that the same labels in the table make, and touch no older fit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

import retraining
from retraining.operations.audit import audit_release
from retraining.operations.stored import open_stored
from retraining.release.update import logical_digest

from .trips import MANIFEST, begin, block_of, trips
from .workbench import Bench, records

pytestmark = pytest.mark.slow

AS_OF = "2024-05-20T12:00:00Z"
#: As generous as can be: here it is told what is learnt from, not whether it is good.
GENEROUS = MANIFEST.replace(
    "models:\n", "defaults: {gate: {margin: {absolute: 100}, refit_shift: 100, min_clusters: 2}}\nmodels:\n"
)
LATER = "2024-06-05T12:00:00Z"


def add(bench: Bench, frame: pd.DataFrame, dataset: str = "trips", **more):
    return retraining.add_feedback(
        bench.folder / "m.yaml", frame, dataset=dataset, store=str(bench.folder / "store"), **more
    )


def without(frame: pd.DataFrame, chosen: pd.Series, *columns: str) -> pd.DataFrame:
    """The rows with some labels not there yet."""
    out = frame.copy()
    for column in columns:
        out[column] = out[column].astype("object" if column == "late" else float).where(~chosen, None)
    out["delay"] = out["delay"].astype(float)
    return out


@pytest.fixture(scope="module")
def world():
    return trips()


@pytest.fixture
def half(bench: Bench, world):
    """A third of the trips without labels yet; the trips as they are, and which of them lack labels."""
    hours, frame = world
    chosen = frame["id"] % 7 < 2
    bench.write(GENEROUS, hours=hours, trips=without(frame, chosen, "delay", "late"))
    return bench, frame, chosen


def fits_made(bench: Bench) -> Counter[tuple[str, str]]:
    """The fits in the store, by node and what they left out."""
    return Counter(
        (one.parts["node"], one.parts["left_out"]) for one in records(bench.store()) if one.action == "fit"
    )


def fits_of(bench: Bench, node: str) -> dict[str, str]:
    return bench.version(node, attempt=True).fits


def test_labels_by_feedback_make_the_release_that_they_make_in_the_table(half, world, tmp_path):
    bench, frame, chosen = half
    late = frame[chosen & frame["delay"].notna()]
    done = add(bench, late[["id", "delay"]].assign(known_at=late["landed"]))
    assert (done.came, done.corrected, done.unknown, done.batch) == (len(late), 0, 0, 1)
    # `late` is known three days after a trip, whatever feedback says before that
    rows = late[["id", "late"]].assign(known_at=late["t"])
    add(bench, rows)
    outcome = bench.run(AS_OF)
    other = Bench(tmp_path / "other")
    other.folder.mkdir()
    other.write(GENEROUS, hours=world[0], trips=frame)
    assert logical_of(other.run(AS_OF)) == logical_of(outcome)
    assert outcome.record["feedback_through"] == outcome.after.entry.feedback_through == 2
    # nothing changed since: the same labels once more say nothing new, and nothing is to be done
    assert add(bench, rows).existing
    assert bench.run(AS_OF).fits_made == 0
    found = audit_release(open_stored(str(bench.folder / "store"), None)).found
    assert not found.violations
    assert not found.gaps


def logical_of(outcome):
    assert {word for word, _ in outcome.outcomes.values()} == {"promoted"}, outcome.outcomes
    return {name: (row.parts, row.column) for name, row in outcome.after.nodes.items()}


def test_late_labels_touch_no_older_fit_and_are_learnt_by_the_next_block(half):
    bench, frame, chosen = half
    bench.run(AS_OF)
    before = fits_made(bench)
    # few: where many labels are late, a block takes long to be mature
    late = frame[chosen & frame["delay"].notna() & (frame["t"] < "2024-05-01")].head(6)
    done = add(bench, late[["id", "delay", "late"]], known_at="2024-05-22T00:00:00Z")
    assert done.came == len(late)
    # known after the newest fit begins: nothing to do at this moment, nor at one before they were known
    for moment in (AS_OF, "2024-05-23T00:00:00Z"):
        assert bench.run(moment).fits_made == 0
    bench.run(LATER)
    newest = f"<{block_of(pd.Series([pd.Timestamp(LATER)]))[0]}"
    assert fits_made(bench) - before == Counter((node, newest) for node in ("weather", "base", "top"))
    learnt = retraining.fit_rows(bench.folder / "m.yaml", "base", store=str(bench.folder / "store"))
    keys = set(learnt.keys["id"].to_pylist())
    assert keys >= set(late["id"])
    told = dict(zip(learnt.keys["id"].to_pylist(), learnt.target.to_pylist(), strict=True))
    assert all(told[row.id] == row.delay for row in late.itertuples())


def test_a_correction_makes_again_only_the_fits_that_had_learnt_the_label(bench: Bench, world):
    hours, frame = world
    bench.write(GENEROUS, hours=hours, trips=frame)
    bench.run(AS_OF)
    before = fits_of(bench, "base")
    ripe = frame[frame["delay"].notna() & (frame["landed"] > "2024-04-10") & (frame["landed"] < "2024-04-12")]
    wrong = ripe[["id", "delay"]].assign(delay=ripe["delay"] + 3)
    # known as wrong when it landed: the digest of its block changes, and that of every fit after it
    add(bench, wrong.assign(known_at=ripe["landed"]))
    outcome = bench.run(AS_OF)
    after = fits_of(bench, "base")
    first = np.searchsorted(
        [begin(b) for b in range(1400, 1600)], list(ripe["landed"] + pd.Timedelta("1D"))
    ).min()
    touched = {name for name in before if int(name[1:]) >= 1400 + first}
    assert {name for name in before if after.get(name, before[name]) != before[name]} <= touched
    assert {name for name in after if name in before and after[name] != before[name]} == touched & set(after)
    assert touched
    assert set(before) - touched
    assert outcome.fits_made > 0


def test_a_label_that_is_taken_away_trains_and_judges_nothing(half):
    bench, frame, _ = half
    bench.run(AS_OF)
    learnt = retraining.fit_rows(bench.folder / "m.yaml", "base", store=str(bench.folder / "store"))
    gone = learnt.keys["id"].to_pylist()[:25]
    done = add(bench, pd.DataFrame({"id": gone, "op": "retract"}), known_at="2024-05-19T00:00:00Z")
    assert done.retracted == 25
    outcome = bench.run(AS_OF)
    assert outcome.outcomes["base"][0] == "promoted", outcome.outcomes
    again = retraining.fit_rows(bench.folder / "m.yaml", "base", store=str(bench.folder / "store"))
    assert set(learnt.keys["id"].to_pylist()) - set(again.keys["id"].to_pylist()) == set(gone)
    # what a release saw is pinned: labels that came since change nothing of its rows
    add(bench, frame[["id", "delay"]].assign(delay=0.0).dropna(), known_at="2024-05-19T00:00:00Z")
    pinned = retraining.fit_rows(bench.folder / "m.yaml", "base", store=str(bench.folder / "store"))
    assert pinned.target.equals(again.target)


def test_labels_of_rows_that_are_not_there_yet_wait_for_them(bench: Bench, world):
    hours, frame = world
    there = frame["id"] % 5 > 0
    bench.write(GENEROUS, hours=hours, trips=frame[there])
    bench.run(AS_OF)
    absent = frame[~there & frame["delay"].notna()]
    done = add(bench, absent[["id", "delay"]].assign(known_at=absent["landed"]))
    assert (done.came, done.unknown) == (len(absent), len(absent))
    assert bench.run(AS_OF).fits_made == 0
    bench.write(GENEROUS, trips=without(frame, ~there, "delay"))
    bench.run(AS_OF)
    other = Bench(bench.folder / "other")
    other.folder.mkdir()
    other.write(GENEROUS, hours=hours, trips=frame)
    other.run(AS_OF)
    assert fits_of(bench, "base") == fits_of(other, "base")


FOLDS = """
datasets: {d: {path: d.parquet, key: [id]}}
models:
  yes: {dataset: d, target: {column: y, positive: b}, features: [x], estimator: LogisticRegression}
"""


def test_a_table_without_a_single_label_learns_from_feedback_alone(bench: Bench):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"id": range(200), "x": rng.normal(size=200)})
    labels = np.where(frame["x"] + rng.normal(size=200) > 0, "b", "a")
    bench.write(FOLDS, d=frame.assign(y=pd.Series([None] * 200, dtype="string")))
    add(bench, pd.DataFrame({"id": frame["id"], "y": labels}), "d")
    outcome = bench.run()
    other = Bench(bench.folder / "other")
    other.folder.mkdir()
    other.write(FOLDS, d=frame.assign(y=labels))
    assert logical_of(other.run()) == logical_of(outcome)
    assert logical_digest(outcome.after.nodes)
