"""A starter: a manifest with comments, small real data, and the schema that editors complete fields from.

Nothing that exists is ever overwritten; either all files are written or none.
"""

from __future__ import annotations

import csv
import io
import json
from importlib import resources
from pathlib import Path

from retraining.errors import InputError
from retraining.manifest import json_schema

__all__ = ["init"]

MANIFEST, DATA, SCHEMA = "diabetes.yaml", "diabetes.csv", "schema.json"
#: What scikit-learn's short names stand for (its description of the data set).
_COLUMNS = {
    "s1": "cholesterol",
    "s2": "ldl",
    "s3": "hdl",
    "s4": "cholesterol_ratio",
    "s5": "log_triglycerides",
    "s6": "blood_sugar",
}


def init(folder: Path) -> tuple[Path, ...]:
    """The files that were written: the manifest first, then its data and schema.

    Raises InputError where one of them exists or the folder cannot be written.
    """
    texts = {MANIFEST: _manifest(), DATA: _patients(), SCHEMA: json.dumps(json_schema(), indent=2) + "\n"}
    there = [name for name in texts if (folder / name).exists()]
    if there:
        raise InputError(
            f"{folder} already holds {', '.join(there)}, and nothing was overwritten",
            "name another folder: `retrain init FOLDER`",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (folder / name).open("x", encoding="utf-8", newline="") as file:
                file.write(text)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror}", "name a folder that you may write"
        ) from error
    return tuple(folder / name for name in texts)


def _manifest() -> str:
    return resources.files("retraining.operations").joinpath("starter.yaml").read_text(encoding="utf-8")


def _patients() -> str:
    """The diabetes data (Efron, Hastie, Johnstone and Tibshirani 2004) in its own units, as CSV."""
    from sklearn.datasets import load_diabetes

    found = load_diabetes(scaled=False)
    names = [_COLUMNS.get(name, name) for name in found.feature_names]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["patient", *names, "progression"])
    for number, (row, target) in enumerate(zip(found.data, found.target, strict=True), start=1):
        writer.writerow([number, *(_short(value) for value in row), _short(target)])
    return out.getvalue()


def _short(value: float) -> str:
    """The number as the study wrote it: whole where it is whole, else with its few decimals."""
    return str(int(value)) if float(value).is_integer() else f"{round(float(value), 4):g}"
