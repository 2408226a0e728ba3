"""Whatever the graph and the edges: one call gives the recorded column, and any part of it gives the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retraining.operations.run import RunOptions, run
from retraining.prediction.releases import open_store
from tests.prediction.test_recorded_columns import blocks_of, recorded_blocks

START = pd.Timestamp("2024-01-01", tz="UTC")
TIMES = ("2024-02-27T12:00:00Z", "2024-03-08T00:00:00Z")
ESTIMATORS = (
    "Ridge",
    "{type: XGBRegressor, parameters: {n_estimators: 6, max_depth: 3}}",
    "{type: HistGradientBoostingRegressor, parameters: {max_iter: 6, min_samples_leaf: 5}}",
)
CLASSIFIERS = (
    "{type: LogisticRegression, parameters: {max_iter: 200}}",
    "{type: XGBClassifier, parameters: {n_estimators: 5, max_depth: 2}}",
)


def table(random: np.random.Generator, prefix: str, rows: int) -> pd.DataFrame:
    """Rows in time with a group, a kind, gaps, a number and three classes of it; some came in late."""
    frame = pd.DataFrame({"id": [f"{prefix}{place:04d}" for place in random.permutation(rows)]})
    frame["at"] = START + pd.to_timedelta(np.sort(random.integers(0, 68 * 24 * 60, rows)), unit="min")
    frame["seen"] = frame["at"] + pd.to_timedelta(random.choice([0, 0, 0, 30, 2000], rows), unit="min")
    frame["g"] = random.choice(["p", "q", "r", None], rows, p=[0.4, 0.3, 0.25, 0.05])
    frame["kind"] = random.choice(["s", "t", "u"], rows, p=[0.5, 0.4, 0.1])
    frame["x"] = random.normal(size=rows)
    frame["z"] = np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows))
    frame["y"] = 2 * frame["x"] + frame["z"].fillna(0) + random.normal(size=rows) * 0.3
    # a class that comes up only later
    frame["c"] = np.where(
        (frame["y"] > 1.5) & (frame["at"] > START + pd.Timedelta("25D")),
        "high",
        np.where(frame["y"] > 0, "mid", "low"),
    )
    return frame


def edge(random: np.random.Generator, same: bool) -> str:
    kinds = ["{as_of: {match: [g], tolerance: 9d}", "{aggregate: [mean, count, max], match: [g]"]
    kind = str(random.choice([*kinds, *(["{"] * 3 if same else [])]))
    policy = random.choice(["missing: nan", "missing: drop"])
    return (kind + ", " if len(kind) > 1 else kind) + f"{policy}, coverage: 0%}}"


def graph(random: np.random.Generator) -> tuple[str, list[str]]:
    """Four or five models over two tables, each reading one or two of those before it."""
    lines, before = [], []
    for place in range(int(random.integers(4, 6))):
        name, home = f"m{place}", str(random.choice(["d", "e"]))
        several = random.random() < 0.35
        classes = random.random() < 0.35
        target, estimators = ("c", CLASSIFIERS) if classes else ("y", ESTIMATORS)
        inputs = {}
        for other, theirs in (
            [before[one] for one in sorted({*random.integers(0, len(before), 2).tolist()})] if before else []
        ):
            inputs[other] = edge(random, theirs == home)
        numeric = any("missing: nan" in text for text in inputs.values())
        choices = (
            [one for one in estimators if "XGB" in one or "Hist" in one] if numeric else list(estimators)
        )
        lines += [
            f"  {name}:",
            f"    dataset: {home}",
            f"    target: {{column: {target}, known_after: {random.choice(['0d', '1d', '6d'])}}}",
            "    features: [x, z]",
            f"    estimator: {random.choice(choices)}",
        ]
        if several:
            small = random.choice(["pool", "skip"])
            lines += ["    partition_by: [kind]", f"    partitions: {{min_rows: 60, small: {small}}}"]
        if inputs:
            lines += ["    inputs:", *(f"      {other}: {text}" for other, text in inputs.items())]
        if random.random() < 0.2:
            lines += ["    ship: gated"]
        before.append((name, home))
    return "\n".join(lines), [name for name, _ in before]


SLOW = [pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 19)]


@pytest.mark.parametrize("seed", [0, *SLOW])
def test_one_call_gives_every_recorded_column(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    text, models = graph(random)
    frames = {name: table(random, name, 420) for name in ("d", "e")}
    for name, frame in frames.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "m.yaml").write_text(
        "manifest: 1\nname: random\nstore: ./store\n"
        "validation: {scheme: time, blocks: 1w, holdout: 1, min_train: {rows: 25, blocks: 2}}\n"
        "defaults: {gate: {refit_shift: 100, margin: 50%}}\n"
        "datasets:\n"
        "  d: {path: d.parquet, key: [id], time: at, ingested: seen}\n"
        "  e: {path: e.parquet, key: [id], time: at, ingested: seen}\n"
        f"models:\n{text}\n"
    )
    later = tuple(sorted({str(name) for name in random.choice(models, 3)}))
    for as_of, select in zip(TIMES, ((), later), strict=True):
        # what is not selected stays, and hands down its column on rows that came since to those that do not stay
        options = RunOptions(backend="serial")
        outcome = run(tmp_path / "m.yaml", as_of=as_of, select=select, options=options)
        assert outcome.exit_code == 0, outcome.outcomes
    release = open_store(str(tmp_path / "store")).current()
    held = {name: frame[frame["seen"] <= pd.Timestamp(TIMES[-1])] for name, frame in frames.items()}
    checked = 0
    for node in release.nodes:
        (version,) = [one for name, one in release.versions(node).items() if name == node]
        own = {**held, version.dataset: held[version.dataset].sort_values("id", ignore_index=True)}
        found = release.predict(node, own)
        rows = own[version.dataset].merge(found.to_pandas()[["id"]], on="id")
        blocks = blocks_of(rows["at"])
        if node.endswith("[*]") or release.state(node).column is not None:
            # a pool asked alone predicts rows that nodes beside it have in the column; a champion that is fed with
            # other columns now has another column than the packs tell by its fits
            continue
        kept = outcome.outcomes[node][0] != "promoted"
        for block, values in recorded_blocks(str(tmp_path / "store"), release.number, node).items():
            here = blocks == block
            if kept and here.sum() != len(values):
                continue
            np.testing.assert_array_equal(found.outputs[here], values, err_msg=f"{node} {block}")
            checked += int(here.sum())
        some = random.random(len(rows)) < 0.3
        part = own[version.dataset][own[version.dataset]["id"].isin(rows["id"][some])]
        if all(
            version.dataset != other.dataset for name, other in release.versions(node).items() if name != node
        ):
            again = release.predict(node, {**own, version.dataset: part})
            np.testing.assert_allclose(again.outputs, found.outputs[some], rtol=0, atol=1e-9)
    assert checked > 100
