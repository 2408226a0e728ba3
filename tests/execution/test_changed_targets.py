"""What a champion predicted may change under it: a class that appears late, another target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from retraining.operations.outcome import RunOutcome
from retraining.operations.run import RunOptions, run

MANIFEST = """
manifest: 1
name: classes
store: ./store
datasets:
  rows: {path: rows.parquet, key: [id], time: at}
validation: {scheme: time, blocks: 2w, holdout: 1, min_train: {rows: 50, blocks: 2}}
models:
  kind:
    dataset: rows
    target: {column: TARGET, known_after: 0d}
    features: [x, z]
    estimator: {type: XGBClassifier, parameters: {n_estimators: 10, max_depth: 3}}
"""


def write(folder: Path, target: str = "label") -> Path:
    rng = np.random.default_rng(0)
    n = 3_000
    x, z = rng.normal(size=(2, n))
    late = np.arange(n) > 0.6 * n
    label = np.where(x + 0.3 * rng.normal(size=n) > 0, "m", "z")
    label = np.where(late & (z > 0.5), "a", label)
    frame = pd.DataFrame(
        {
            "id": np.arange(n),
            "at": pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(n) * 96, unit="min"),
            "x": x,
            "z": z,
            "label": label,
            "other": np.where(z > 0, "up", "down"),
        }
    )
    frame.to_parquet(folder / "rows.parquet")
    path = folder / "classes.yaml"
    path.write_text(MANIFEST.replace("TARGET", target))
    return path


def go(path: Path, as_of: str) -> RunOutcome:
    return run(path, as_of=as_of, options=RunOptions(backend="serial"))


def test_a_class_that_appears_late_is_learnt_and_the_champion_gives_it_no_chance(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert go(path, "2024-04-01").counts == {"promoted": 1}
    outcome = go(path, "2024-07-10")
    assert outcome.counts == {"promoted": 1}
    (node,) = outcome.record["nodes"]
    assert node["verdict"]["champion"]["log_loss"] > 5 * node["verdict"]["challenger"]["log_loss"]


def test_another_target_is_not_compared_with_its_champion(tmp_path: Path) -> None:
    assert go(write(tmp_path), "2024-04-01").counts == {"promoted": 1}
    outcome = go(write(tmp_path, "other"), "2024-04-01")
    assert outcome.counts == {"promoted": 1}
    assert "cannot be compared" in outcome.outcomes["kind"][1]
