"""A file that cannot be read says what to do."""

from __future__ import annotations

import pytest

from retraining.errors import InputError, ManifestError
from retraining.manifest import load_manifest


def refused(path):
    with pytest.raises(InputError) as caught:
        load_manifest(path)
    return caught.value


def test_a_missing_file_names_the_nearest_one(tmp_path):
    (tmp_path / "flights.yaml").touch()
    (tmp_path / "other.yml").touch()
    error = refused(tmp_path / "flihgts.yaml")
    assert "there is no manifest" in error.message
    assert error.next_step == f"did you mean `{tmp_path / 'flights.yaml'}`?"


def test_a_missing_file_in_an_empty_folder_leads_to_init(tmp_path):
    assert "retrain init" in refused(tmp_path / "x.yaml").next_step
    assert "no folder" in refused(tmp_path / "nowhere" / "x.yaml").next_step


def test_a_folder_is_no_manifest(tmp_path):
    (tmp_path / "flights.yaml").touch()
    error = refused(tmp_path)
    assert "is a folder" in error.message
    assert str(tmp_path / "flights.yaml") in error.next_step


def test_a_file_of_megabytes_is_refused_without_being_read_as_a_whole(tmp_path):
    file = tmp_path / "big.yaml"
    with file.open("wb") as stream:
        stream.truncate(10**10)
    error = refused(file)
    assert isinstance(error, ManifestError)
    assert "more than 4,194,304 bytes" in error.problems[0].message
    assert error.problems[0].line == 0


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_a_path_that_cannot_be_is_refused(path):
    assert "cannot be read" in refused(path).message


def test_every_problem_has_the_path_as_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.yaml").write_text("a: [")
    assert str(refused("m.yaml")).startswith("m.yaml:")
