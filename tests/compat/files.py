"""Small training files with a rule that every estimator learns, and their rows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import retraining

LABELS = ("no", "yes")


def number_rows(n: int = 60, labels: tuple[object, object] = (0, 1)) -> list[dict[str, object]]:
    """Rows of three numbers; the label is the second one exactly where the first number is at least n / 2."""
    return [
        {"features": [row, (row * 7) % 5, -0.5 * row], "label": labels[int(row >= n / 2)]} for row in range(n)
    ]


def write_json(path: Path, rows: object) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def write_csv(path: Path, rows: list[dict[str, object]], *, label: str = "label") -> Path:
    lines = [f"first,second,third,{label}"]
    lines += [",".join(map(str, [*row["features"], row["label"]])) for row in rows]  # type: ignore[misc]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def fresh_python() -> dict[str, str]:
    """The environment of a process that finds the package and the document's module names."""
    package = Path(retraining.__file__).parent
    places = [str(package.parent), str(package / "compat" / "top"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places))}
