"""A chain of two models whose challengers win or lose as a test wishes, and what became of it, by node.

`up` predicts y from x, `down` from the prediction of `up` and from z. A model that may not see its signal is
beaten by one that may, whatever the folds.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

from tests.cli.conftest import Type

MANIFEST = """\
manifest: 1
name: chain
store: ./store
datasets:
  rows: {path: rows.csv, key: [id]}
validation: {scheme: folds, folds: 5}
models:
  up:
    dataset: rows
    target: y
    features: [noise]
    estimator: {type: Ridge}
  down:
    dataset: rows
    target: y
    features: [noise]
    inputs: {up: {}}
    estimator: {type: Ridge}
"""
UP, DOWN = "features: [noise]\n    estimator", "features: [noise]\n    inputs"


def write_chain(folder: Path, rows: int = 200) -> None:
    """The manifest, and rows of y = 3 x + 2 z + little noise."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(7)
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "x", "z", "noise", "y"])
        for number in range(rows):
            x, z, noise = draw.gauss(0, 1), draw.gauss(0, 1), draw.gauss(0, 1)
            writer.writerow([number, x, z, noise, 3 * x + 2 * z + draw.gauss(0, 0.3)])
    (folder / "chain.yaml").write_text(MANIFEST)


def change(old: str, new: str) -> None:
    """Changes the manifest of the current folder."""
    path = Path("chain.yaml")
    text = path.read_text()
    assert text.count(old) == 1, text
    path.write_text(text.replace(old, new))


def improve_up(features: str = "x") -> None:
    """Lets `up` see its signal, so that its challenger beats any that may not."""
    change(UP, UP.replace("noise", features))


def improve_down(features: str = "z") -> None:
    """Lets `down` see its signal."""
    change(DOWN, DOWN.replace("noise", features))


def run(type_: Type, *arguments: str, code: int = 0) -> dict[str, str]:
    """Runs the chain; the outcomes by node."""
    answer = type_("run", "--backend", "serial", "--no-progress", "--format", "json", *arguments)
    assert answer.code == code, answer.err or answer.out
    return {node["node"]: node["outcome"] for node in answer.document["nodes"]}


def status(type_: Type) -> dict[str, Any]:
    """The document of `status`, with its nodes by name."""
    document = type_("status", "--format", "json").document
    return {**document, "nodes": {node["node"]: node for node in document["nodes"]}}


def versions(type_: Type) -> dict[str, str | None]:
    """What is served, by node."""
    return {name: node["version"] for name, node in status(type_)["nodes"].items()}


def decisions(type_: Type) -> dict[str, dict[str, Any]]:
    """What a run would do, by node."""
    plan = type_("plan", "--format", "json").document
    return {decision["node"]: decision for decision in plan["decisions"]}
