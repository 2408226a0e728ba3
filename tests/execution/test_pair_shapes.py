"""Pair checks over every kind of edge: what a check scored is what later runs find the champion to be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from oracle.test_edges import AS_OF as SHOP_AS_OF
from oracle.test_edges import MANIFEST, shop

from retraining.release.update import mismatches

from .pair_bench import AS_OF, FIRST, manifest, outcomes, rows

pytestmark = pytest.mark.slow

STAYS = "retrain_when: definition"


def assert_served_as_checked(bench, nodes, as_of=None):
    """A later run compares with each champion as it was checked: fed with the new columns, by its own fits."""
    checks = {node: bench.version(node).document["checks"][-1] for node in nodes}
    assert all(one["passed"] for one in checks.values())
    forced = bench.run(as_of, force=tuple(nodes))
    told = {one["node"]: one for one in forced.record["nodes"]}
    for node, check in checks.items():
        if check["after"] is not None:
            champion = told[node]["verdict"]["champion"]
            for metric, value in check["after"].items():
                assert champion[metric] == pytest.approx(value, rel=1e-9), (node, metric)


def test_as_of_and_aggregate_edges(bench):
    devices, sales, days = shop()
    text = MANIFEST.format(moment="noon", more="coverage: 50%").replace(
        "defaults: {gate: {refit_shift: 100}", "defaults: {retrain_when: definition, gate: {refit_shift: 100}"
    )
    assert "retrain_when" in text
    bench.write(text.replace("features: [a, b]", "features: [a]"), devices=devices, sales=sales, days=days)
    assert set(outcomes(bench.run(SHOP_AS_OF)).values()) == {"promoted"}
    bench.write(text)
    found = bench.run(SHOP_AS_OF)
    assert outcomes(found) == {"risk": "promoted", "amount": "kept", "total": "kept"}
    amount, total = bench.state("amount"), bench.state("total")
    assert amount.wiring == {"risk": bench.state("risk").version}
    assert total.wiring == {"amount": amount.column}
    assert not mismatches(found.after.nodes)
    assert_served_as_checked(bench, ["amount", "total"], SHOP_AS_OF)


UNION = """
datasets: {d: {path: d.parquet, key: [id], time: t}}
validation: {scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 30, blocks: 2}}
defaults: {estimator: {type: Ridge}, gate: {refit_shift: 100}, target: TARGET}
models:
  part: {dataset: d, partition_by: [side], target: {column: y, known_after: 1h}, features: FEATURES}
  whole: {dataset: d, target: {column: z, known_after: 1h}, features: [x3], inputs: {part: {}},
          retrain_when: definition}
""".replace(", target: TARGET", "")


def test_a_union_of_partitions_of_which_only_some_are_new(bench):
    frame = rows(a_day=12)
    frame["side"] = np.where(frame["x4"] > 0, "left", "right")
    bench.write(UNION.replace("FEATURES", "[x1]"), d=frame)
    assert set(outcomes(bench.run(AS_OF)).values()) == {"promoted"}
    bench.write(UNION.replace("FEATURES", "[x1, x2]"))
    found = bench.run(AS_OF, select=("part[side=left]",))
    assert outcomes(found) == {"part[side=left]": "promoted", "part[side=right]": "kept", "whole": "kept"}
    (check,) = bench.version("whole").document["checks"]
    assert list(check["columns"]) == ["part[side=left]"]
    # both are read, one of them as before
    right = bench.state("part[side=right]")
    assert bench.state("whole").wiring["part[side=right]"] == right.version
    assert_served_as_checked(bench, ["whole"], AS_OF)


def classes(third: bool) -> pd.DataFrame:
    frame = rows(a_day=12)
    kinds = np.array(["a", "b", "c"]) if third else np.array(["a", "b", "b"])
    frame["kind"] = kinds[np.digitize(frame["y"], [-0.5, 0.8])]
    return frame


CLASSES = """
datasets: {d: {path: d.parquet, key: [id], time: t}}
validation: {scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 30, blocks: 2}}
defaults: {gate: {refit_shift: 100}}
models:
  kind: {dataset: d, target: {column: kind, known_after: 1h}, features: [x1, x2], estimator: LogisticRegression}
  z: {dataset: d, target: {column: z, known_after: 1h}, features: [x3], inputs: {kind: {}},
      estimator: {type: Ridge}, retrain_when: definition}
"""


def test_an_upstream_that_hands_down_more_classes_makes_its_reader_due(bench):
    bench.write(CLASSES, d=classes(third=False))
    assert set(outcomes(bench.run(AS_OF)).values()) == {"promoted"}
    bench.write(CLASSES, d=classes(third=True))
    alone = bench.run(AS_OF, select=("kind",))
    if outcomes(alone)["kind"] == "waiting":
        assert "hands down kind.a, kind.b, kind.c" in alone.outcomes["kind"][1]
    found = outcomes(bench.run(AS_OF))
    assert found["z"] == "promoted"
    assert found["kind"] == "promoted"


DIAMOND = """
  both: {dataset: d, target: {column: w, known_after: 1h}, features: [x4], inputs: {a: {}, b: {}}}
"""


def test_who_reads_an_upstream_that_cannot_be_released_learns_from_its_champion(bench):
    loose = "gate: {refit_shift: 100, limits: {r2: {min: 0}}}"
    bench.write(manifest(b=loose, more=DIAMOND), d=rows())
    assert set(outcomes(bench.run(AS_OF)).values()) == {"promoted"}
    before = bench.state("both")
    # b cannot follow a, so a will not be released: whoever is below both knows it before it learns from a
    strict = loose.replace("0}", "0.999}")
    changed = DIAMOND.replace("features: [x4]", "features: [x4, x3, x1, x2]")
    bench.write(manifest(b=strict, a_target="y60", more=changed))
    found = bench.run(AS_OF)
    assert outcomes(found) == {"a": "waiting", "b": "rejected", "both": "promoted", "c": "kept"}
    assert bench.state("both").wiring == before.wiring
    assert not mismatches(found.after.nodes)


def test_a_column_that_is_the_same_on_a_readers_rows_needs_no_scoring(bench):
    frame = rows(a_day=12)
    frame["side"] = np.where(frame["x4"] > 0, "left", "right")
    text = UNION.replace("FEATURES", "[x1]") + (
        "  alone: {dataset: d, partition_by: [side], target: {column: z, known_after: 1h}, features: [x3],\n"
        "          inputs: {part: {}}}\n"
    )
    bench.write(text, d=frame)
    bench.run(AS_OF)
    # other labels on the left alone, of which the right side reads nothing
    left = frame["side"] == "left"
    frame.loc[left, "y"] += 0.01 * np.sin(np.arange(left.sum()))
    bench.write(text, d=frame)
    found = bench.run(AS_OF)
    told = {one["node"]: one for one in found.record["nodes"]}
    assert told["alone[side=right]"]["outcome"] == "kept"
    assert told["alone[side=right]"]["fits"]["made"] == 0
    assert told["alone[side=right]"]["pair"] is None


def test_a_reader_whose_rows_are_older_than_what_changed_keeps_its_champion_without_work(bench):
    # the upstream learns from a dataset of its own, which alone grew
    grown = rows(days=91)
    held = grown.head(84 * 6)
    up = grown[["id", "t", "x1", "y"]]
    text = """
datasets:
  d: {path: d.parquet, key: [id], time: t}
  up: {path: up.parquet, key: [id], time: t}
validation: {scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 30, blocks: 2}}
defaults: {estimator: {type: Ridge}, gate: {refit_shift: 100}}
models:
  a: {dataset: up, target: {column: y, known_after: 1h}, features: [x1], gate: {refit_shift: 100, margin: 50%}}
  b: {dataset: d, target: {column: z, known_after: 1h}, features: [x3], inputs: {a: {match: [id]}}}
"""
    bench.write(text, d=held, up=up.head(84 * 6))
    assert set(outcomes(bench.run(AS_OF)).values()) == {"promoted"}
    before = bench.state("b")
    bench.write(text, up=up)
    found = bench.run((FIRST + pd.Timedelta("91D6h")).isoformat())
    assert outcomes(found) == {"a": "promoted", "b": "kept"}
    after = bench.state("b")
    assert (after.version, after.checked) == (before.version, ())
    assert after.wiring == {"a": bench.state("a").version}
    (check,) = bench.version("b").document["checks"]
    assert check["because"] == "its columns are the same on every row that it learnt from"
    assert bench.run((FIRST + pd.Timedelta("91D6h")).isoformat()).run == ""


def test_a_champion_that_learnt_from_a_new_column_already_is_not_asked_about_it_again(bench):
    # the upstream is due by new rows, its reader by its upstreams alone: what it learnt from is as it was
    text = """
datasets:
  d: {path: d.parquet, key: [id], time: t}
validation: {scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 30, blocks: 2}}
defaults: {estimator: {type: Ridge}, gate: {refit_shift: 100, margin: 50%}}
models:
  a: {dataset: d, target: {column: y, known_after: 1h}, features: [x1]}
  b:
    {dataset: d, target: {column: z, known_after: 1h}, features: [x3], inputs: {a: {}}, retrain_when: upstream}
"""
    bench.write(text, d=rows(days=91))
    assert set(outcomes(bench.run(AS_OF)).values()) == {"promoted"}
    before = bench.state("b")
    later = (FIRST + pd.Timedelta("91D6h")).isoformat()
    assert outcomes(bench.run(later)) == {"a": "promoted", "b": "kept"}
    after = bench.state("b")
    assert (after.version, after.checked) == (before.version, ())
    assert after.wiring == {"a": bench.state("a").version}
    # another column by rows that it did not learn from is checked, and no reason to look at it in every run
    (check,) = bench.version("b").document["checks"]
    assert check["holdout"]
    assert bench.run(later).run == ""


GONE = """
datasets: {d: {path: d.parquet, key: [id], time: t}}
validation: {scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 10, blocks: 2}}
defaults: {estimator: {type: Ridge}, gate: {refit_shift: 100, margin: 50%}}
models:
  a:
    {dataset: d, target: {column: y, known_after: 1h}, features: [x1], partition_by: [side], partitions: {min_rows: 20}}
  b: {dataset: d, target: {column: z, known_after: 1h}, features: [x3], inputs: {a: {}}}
"""


def test_a_reader_goes_on_without_an_upstream_that_left_the_data_with_its_rows(bench):
    frame = rows()
    frame["side"] = np.where(np.arange(len(frame)) % 3 > 0, "left", "right")
    bench.write(GONE, d=frame)
    assert set(outcomes(bench.run(AS_OF)).values()) == {"promoted"}
    bench.write(GONE, d=frame[frame["side"] == "left"])
    found = bench.run(AS_OF, force=("b",))
    # its champion is compared on the rows that there are
    assert outcomes(found)["b"] == "promoted"
    assert bench.version("b").document["verdict"]["difference"] is not None
    assert bench.state("a[side=right]").orphaned
    assert bench.state("b").wiring == {"a[side=left]": bench.state("a[side=left]").version}
    assert bench.run(AS_OF).run == ""
