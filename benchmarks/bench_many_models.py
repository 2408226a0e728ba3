"""Many small models: a run of `retraining` beside a plain scikit-learn loop and joblib, in one process tree.

Every contender cross-validates StandardScaler + Ridge with five folds on every model's 120 rows, fits it
once more on all rows and writes the model. `retraining` also digests, judges, stores and releases.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from retraining.operations.run import RunOptions, run

FEATURES = ["a", "b", "c", "d", "e"]
MANIFEST = """manifest: 1
name: many
datasets:
  rows: {path: rows.parquet, key: [id]}
models:
  small:
    dataset: rows
    partition_by: [group]
    partitions: {min_rows: 50}
    target: y
    features: [a, b, c, d, e]
    estimator: {type: Ridge}
"""


def write_data(folder: Path, models: int, rows: int = 120) -> pd.DataFrame:
    """The data of all models, also as a Parquet file with its manifest."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(models * rows, len(FEATURES))), columns=FEATURES)
    frame["y"] = frame[FEATURES].sum(axis=1) + rng.normal(size=len(frame))
    frame["id"] = np.arange(len(frame))
    frame["group"] = [f"g{number:05d}" for number in np.repeat(np.arange(models), rows)]
    frame.to_parquet(folder / "rows.parquet")
    (folder / "manifest.yaml").write_text(MANIFEST)
    return frame


def fit_one(frame: pd.DataFrame, path: Path) -> float:
    """Cross-validates and fits one model as a loop would, and writes it."""
    model = make_pipeline(StandardScaler(), Ridge())
    x, y = frame[FEATURES].to_numpy(), frame["y"].to_numpy()
    scores = cross_validate(model, x, y, cv=KFold(5), scoring="neg_mean_squared_error")
    joblib.dump(model.fit(x, y), path)
    return float(scores["test_score"].mean())


def plain_loop(frame: pd.DataFrame, folder: Path) -> None:
    """One model after the other."""
    for name, part in frame.groupby("group"):
        fit_one(part, folder / f"{name}.pkl")


def with_joblib(frame: pd.DataFrame, folder: Path) -> None:
    """All cores, by joblib's processes."""
    tasks = (joblib.delayed(fit_one)(part, folder / f"{name}.pkl") for name, part in frame.groupby("group"))
    joblib.Parallel(n_jobs=-1)(tasks)


def with_retraining(backend: str) -> Callable[[pd.DataFrame, Path], None]:
    """A first run of the manifest on a backend, its start included."""

    def contender(_: pd.DataFrame, folder: Path) -> None:
        options = RunOptions(backend="ray" if backend == "ray" else "serial")
        outcome = run(
            folder.parent / "manifest.yaml", store=str(folder / "store"), options=options, max_fits=10**7
        )
        assert outcome.after.release == 1

    return contender


def main() -> None:
    """Times all contenders in turn, several times, and prints medians and ratios to the plain loop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    contenders: dict[str, Callable[[pd.DataFrame, Path], None]] = {
        "plain loop": plain_loop,
        "joblib, all cores": with_joblib,
        "retraining, serial": with_retraining("serial"),
        "retraining, Ray": with_retraining("ray"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        frame = write_data(folder, arguments.models)
        for repeat in range(arguments.repeats):
            for name, contender in contenders.items():
                own = folder / f"{repeat}-{name.replace(', ', '-').replace(' ', '-')}"
                own.mkdir()
                start = time.perf_counter()
                contender(frame, own)
                seconds[name].append(time.perf_counter() - start)
    loop = statistics.median(seconds["plain loop"])
    print(
        f"{arguments.models} models, {arguments.repeats} repeats, median seconds and ratio to the plain loop"
    )
    for name, found in seconds.items():
        print(f"  {name:<22}{statistics.median(found):8.1f} s {statistics.median(found) / loop:7.2f}")


if __name__ == "__main__":
    main()
