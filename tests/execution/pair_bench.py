"""A chain of models on one small table, and what a champion would predict with other columns, in plain scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DAYS, AS_OF = 84, "2024-03-25T06:00:00Z"
FIRST = pd.Timestamp("2024-01-01", tz="UTC")


def rows(seed=0, a_day=6, days=DAYS) -> pd.DataFrame:
    """Rows by time: `a` predicts y, `b` z and `c` w; y2 is nearly y, y60 is it in another unit."""
    rng = np.random.default_rng(seed)
    n = a_day * days
    x = rng.normal(size=(n, 4))
    frame = pd.DataFrame(x, columns=["x1", "x2", "x3", "x4"])
    frame.insert(0, "id", np.arange(n))
    frame["t"] = FIRST + pd.to_timedelta(np.arange(n) * (24 * 60 // a_day), "min")
    frame["y"] = x[:, 0] + x[:, 1] + 0.3 * rng.normal(size=n)
    frame["y2"] = frame["y"] + 0.01 * rng.normal(size=n)
    frame["y60"] = 60 * frame["y"]
    frame["z"] = frame["y"] + 0.5 * x[:, 2] + 0.3 * rng.normal(size=n)
    frame["w"] = frame["z"] + 0.5 * x[:, 3] + 0.3 * rng.normal(size=n)
    return frame


def manifest(
    a="",
    b="",
    c="",
    *,
    a_target="y",
    a_features="[x1]",
    b_features="[x3]",
    b_edge="{}",
    more="",
    scheme="time",
):
    """a -> b -> c; `a`, `b` and `c` are more fields of each."""
    known = "" if scheme == "folds" else ", known_after: 1h"
    time = "" if scheme == "folds" else ", time: t"
    validation = (
        "{scheme: folds, folds: 4}"
        if scheme == "folds"
        else "{scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 30, blocks: 2}}"
    )
    return f"""
datasets: {{d: {{path: d.parquet, key: [id]{time}}}}}
validation: {validation}
defaults: {{estimator: {{type: Ridge}}, gate: {{refit_shift: 100}}}}
models:
  a: {{dataset: d, target: {{column: {a_target}{known}}}, features: {a_features}, {a}}}
  b: {{dataset: d, target: {{column: z{known}}}, features: {b_features}, inputs: {{a: {b_edge}}}, {b}}}
  c: {{dataset: d, target: {{column: w{known}}}, features: [x4], inputs: {{b: {{}}}}, {c}}}
{more}"""


def ridge():
    return make_pipeline(StandardScaler(), Ridge())


def block_of(frame: pd.DataFrame) -> np.ndarray:
    """Weeks from the first Monday."""
    return ((frame["t"] - FIRST) // pd.Timedelta("7D")).to_numpy()


def chained(
    frame: pd.DataFrame, features: list[str], target: str, upstream: np.ndarray | None = None, last=99
):
    """(model by block, column): each block predicted by a fit of what was known before it began, at most `last`."""
    block = block_of(frame)
    known = np.ceil((frame["t"] + pd.Timedelta("1h") - FIRST) / pd.Timedelta("7D")).to_numpy()
    x = frame[features].to_numpy()
    if upstream is not None:
        x = np.column_stack([upstream, x])
    found = np.full(len(frame), np.nan)
    models = {}
    for b in range(block.max() + 2):
        train = (known <= b) & ~np.isnan(x).any(axis=1)
        if b > last or train.sum() < 30 or len(np.unique(block[train])) < 2:
            continue
        models[b] = ridge().fit(np.ascontiguousarray(x[train]), frame[target][train])
    for b in range(block.max() + 1):
        here = (block == b) & ~np.isnan(x).any(axis=1)
        if min(b, last) in models and here.any():
            found[here] = models[min(b, last)].predict(np.ascontiguousarray(x[here]))
    return models, found


def predicted(models, frame: pd.DataFrame, features: list[str], upstream: np.ndarray) -> np.ndarray:
    """Each block by its own model, fed with any upstream column."""
    x, block = np.column_stack([upstream, frame[features]]), block_of(frame)
    found = np.full(len(frame), np.nan)
    for b, model in models.items():
        here = (block == b) & ~np.isnan(x).any(axis=1)
        if here.any():
            found[here] = model.predict(np.ascontiguousarray(x[here]))
    return found


def outcomes(outcome) -> dict[str, str]:
    return {node: word for node, (word, _) in outcome.outcomes.items()}
