"""Patterns of keys name what glob.glob names in a folder with the same files."""

from __future__ import annotations

import glob
import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retraining.data.patterns import fixed_folder, is_pattern, matches

FILES = [
    "a.csv", "b.csv", "ab.csv", ".hidden.csv", "[x].csv", "dir/a.csv", "dir/b.parquet", "dir/.c.csv", "dir/d e.csv",
    "dir/sub/a.csv", "dir/sub/deep/a.csv", ".git/a.csv", "dir/.git/a.csv", "year=2024/month=01/a.csv",
    "year=2024/month=02/a.csv", "year=2025/month=01/b.csv",
]  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


parts = st.sampled_from(
    [
        "*",
        "**",
        "?.csv",
        "*.csv",
        "a*",
        "[ab].csv",
        "[!a]*",
        ".*",
        "dir",
        "sub",
        "a.csv",
        "year=*",
        "month=0?",
        "[[]x].csv",
    ]
)


@given(st.lists(parts, min_size=1, max_size=3).map("/".join))
@example("**/*.csv")
@example("dir/**")
@example("**/.git/*")
@example("year=2024/**/a.csv")
@settings(derandomize=True, max_examples=100, deadline=None)
def test_a_pattern_names_the_files_that_glob_finds(tree, pattern):
    found = {
        os.path.relpath(path, tree)
        for path in glob.glob(f"{glob.escape(str(tree))}/{pattern}", recursive=True)
        if os.path.isfile(path)
    }
    assert {key for key in FILES if matches(key, pattern)} == found
    if is_pattern(pattern):
        folder, below = fixed_folder(pattern)
        for key in found:
            assert key.startswith(f"{folder}/" if folder else "")
            assert below or "/" not in key[len(folder) + bool(folder) :]
