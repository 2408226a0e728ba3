"""What `import retraining` offers, and that it loads nothing heavy."""

from __future__ import annotations

import datetime as dt
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import retraining
from retraining.manifest.given import given_moment, given_texts


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


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: retraining.open_store(3), "the store is an int; expected a folder or the URL of a bucket"),
        (lambda: retraining.plan(None), "the manifest is None; expected a path"),
        (lambda: retraining.run(b"m.yaml"), "the manifest is a bytes; expected a path"),
        (lambda: retraining.load_manifest(["m.yaml"]), "the manifest is a list; expected a path"),
        (lambda: retraining.plan("m.yaml", as_of=7), "as_of is an int; expected a moment"),
        (lambda: retraining.plan("m.yaml", select=3), "select is 3; expected texts"),
        (lambda: retraining.plan("m.yaml", data=["d.csv"]), "data is a list; expected paths by the names"),
        (lambda: retraining.load_exported(None), "the export is None; expected a path"),
        (lambda: retraining.fit_rows(3, "m"), "the manifest is an int; expected a path"),
        (lambda: retraining.predict("store", "m", None), "data is None; expected texts"),
        (lambda: retraining.open_store("store", allow=3), "allow is 3; expected texts"),
        (lambda: retraining.open_store("http://host/store").current(), "neither a folder nor a bucket"),
    ],
)
def test_what_is_of_a_wrong_type_is_named(call: Callable[[], object], said: str) -> None:
    with pytest.raises(retraining.RetrainingError, match=re.escape(said)):
        call()


def test_one_text_is_one_of_several_and_a_datetime_is_a_moment() -> None:
    assert given_texts("late15", "select") == ("late15",)
    assert given_texts([Path("a"), "b"], "data") == ("a", "b")
    assert given_moment(dt.datetime(2024, 1, 2, tzinfo=dt.UTC), "as_of") == "2024-01-02T00:00:00+00:00"
