"""What a node says of itself, by the function that travels to it, called in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

import retraining
from retraining.execution.ray.visit import code_digest, visit
from retraining.learn.environment import library_versions
from retraining.store.objects import open_objects

PLACE = "probes/here"


@pytest.fixture
def asked(tmp_path):
    """The arguments of a visit that finds nothing wrong until it needs Ray."""
    open_objects(str(tmp_path), create=True).put(f"{PLACE}/driver", b"word")
    return {
        "version": retraining.__version__,
        "code": code_digest(str(Path(retraining.__file__).parent)),
        "libraries": library_versions(),
        "store": str(tmp_path),
        "place": PLACE,
        "word": b"word",
    }


def test_another_version_is_named_with_the_python_that_has_it(asked):
    problem, about = visit(**{**asked, "version": "9.9"})
    assert about == "program"
    assert problem.startswith(
        f"it has retraining {retraining.__version__} and this run is of 9.9 (its Python is /"
    )


def test_other_code_under_the_same_version_is_seen(asked):
    problem, about = visit(**{**asked, "code": "0" * 64})
    assert (about, "is other code" in problem) == ("program", True)


def test_libraries_of_another_version_are_named_with_both_versions(asked):
    libraries = {**asked["libraries"], "scikit-learn": "0.24", "torch": "2.0"}
    problem, about = visit(**{**asked, "libraries": libraries})
    own = library_versions()["scikit-learn"]
    assert about == "libraries"
    assert problem == f"it has other versions: scikit-learn {own} (here 0.24), torch none (here 2.0)"


@pytest.mark.parametrize("store", ["/no/such/folder", "ftp://host/store"])
def test_a_store_that_cannot_be_used_there_is_named_with_the_reason(asked, store):
    problem, about = visit(**{**asked, "store": store})
    assert about == "store"
    assert problem.startswith(f"it cannot use the store: store {store}")


def test_a_store_without_the_driver_s_word_is_another_one(asked, tmp_path):
    other = tmp_path / "other"
    open_objects(str(other), create=True)
    problem, about = visit(**{**asked, "store": str(other)})
    assert (about, "cannot use the store" in problem) == ("store", True)


def test_the_digest_of_the_code_is_of_every_file_and_of_its_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.py").write_text("x = 1\n")
    before = code_digest(str(tmp_path))
    assert code_digest(str(tmp_path)) == before
    (tmp_path / "a" / "notes.txt").write_text("no code")
    assert code_digest(str(tmp_path)) == before
    (tmp_path / "a" / "one.py").rename(tmp_path / "a" / "two.py")
    assert code_digest(str(tmp_path)) != before
