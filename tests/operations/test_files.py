"""The places of data that a program gives instead of those of the manifest."""

from __future__ import annotations

import pandas as pd
import pytest

from retraining.errors import InputError
from retraining.manifest import load_manifest
from retraining.operations.files import find_dataset_files


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "m.yaml").write_text(
        "{manifest: 1, name: m, store: ./s, datasets: {d: {path: d.csv, key: [id]}},"
        " models: {a: {dataset: d, target: y, features: [x], estimator: Ridge}}}"
    )
    (tmp_path / "e.csv").write_text("id,x,y\n1,2,3\n")
    return load_manifest(tmp_path / "m.yaml")


def test_data_is_given_as_a_text_or_as_a_path(manifest, tmp_path):
    for place in (tmp_path / "e.csv", str(tmp_path / "e.csv")):
        assert find_dataset_files(manifest, {"d": place}).files["d"] == (tmp_path / "e.csv",)


def test_a_table_where_a_path_is_expected_is_refused_with_what_to_do(manifest):
    with pytest.raises(InputError, match="the data of d is a DataFrame; expected a path") as caught:
        find_dataset_files(manifest, {"d": pd.DataFrame()})
    assert "give the file's path" in caught.value.next_step
