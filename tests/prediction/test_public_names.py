"""What `import retraining` offers, and that it loads nothing heavy."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import retraining


def test_the_public_names_are_few_sorted_and_there() -> None:
    assert list(retraining.__all__) == sorted(retraining.__all__)
    assert len(retraining.__all__) <= 18
    assert [name for name in retraining.__all__ if not hasattr(retraining, name)] == []
    assert {*retraining.__all__} <= {*dir(retraining)}


def test_no_room_has_the_name_of_a_verb() -> None:
    rooms = {module.name for module in pkgutil.iter_modules(retraining.__path__)}
    assert rooms.isdisjoint(retraining.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="retrian"):
        retraining.retrian  # noqa: B018


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert retraining.__version__ == project.get("version", retraining.__version__)


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import retraining", set[str]()),
        ("from retraining import RetrainingError, load_manifest", {"numpy"}),
        ("from retraining import plan", {"numpy", "pyarrow"}),
    ],
)
def test_importing_loads_nothing_that_it_does_not_use(statement: str, allowed: set[str]) -> None:
    heavy = {"ray", "sklearn", "scipy", "pandas", "xgboost", "pyarrow", "numpy", "rich"}
    code = f"{statement}; import sys; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {*done.stdout.split()} <= allowed
