"""A scheduled model and its reader, with a release of a Sunday that is made once for each rule and copied."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from oracle.workbench import Bench

from retraining.decide.calendar import micros
from retraining.operations.arguments import parse_moment

MANIFEST = """
timezone: Europe/Berlin
datasets: {d: {path: d.parquet, key: [id]}}
validation: {scheme: folds, folds: 3}
models:
  a: {dataset: d, target: y, features: [x], estimator: {type: Ridge}, retrain_when: RULE}
  b: {dataset: d, target: y, features: [z], estimator: {type: Ridge}, inputs: {a: {}}}
"""
MONDAYS = '{schedule: "0 3 * * 1"}'
CURSOR = "schedule 0 3 * * 1 Europe/Berlin"
SUNDAY, MONDAY, TUESDAY = "2024-05-12T12:00:00Z", "2024-05-13T04:00:00Z", "2024-05-14T12:00:00Z"
INSTANT = "2024-05-13T01:00:00Z"  # three in Berlin
NEXT = "2024-05-20T01:00:00Z"


def rows(n=120):
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, 1_000))[:, :n]
    return pd.DataFrame({"id": range(n), "x": x, "z": z, "y": x + z**2})


def written(bench, rule, n=120):
    bench.write(MANIFEST.replace("RULE", rule), d=rows(n))
    os.utime(bench.folder / "d.parquet", (1.7e9 + n, 1.7e9 + n))
    return bench


def at(text):
    return micros(parse_moment(text, "UTC"))


class Sundays:
    """Benches that were run on Sunday, by the rule of their model `a`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}

    def copied(self, bench: Bench, rule: str, n: int = 120) -> Bench:
        """The bench with that release, and with `n` rows since."""
        if rule not in self._made:
            made = Bench(self._folder / str(len(self._made)))
            made.folder.mkdir()
            written(made, rule).run(SUNDAY)
            self._made[rule] = made.folder
        shutil.copytree(self._made[rule], bench.folder, dirs_exist_ok=True)
        return written(bench, rule, n=n)
