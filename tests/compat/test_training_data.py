"""What a file of training data may look like, and what is said where it does not."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from pathlib import Path

import pytest

from retraining.compat import TrainingDataManager
from retraining.errors import InputError

load = TrainingDataManager().load_training_data
ROWS = [{"features": [1, 2.5], "label": "a"}, {"features": [3, None], "label": "b"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.json", json.dumps(ROWS, indent=1)),
        ("rows.json", json.dumps({"data": ROWS, "version": 3})),
        ("rows.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("rows.ndjson", "\n\n".join(map(json.dumps, ROWS)) + "\r\n"),
        ("rows.json", "\n".join(map(json.dumps, ROWS))),
        ("rows", json.dumps(ROWS)),
        ("rows.csv", "x,y,label\n1,2.5,a\n3,,b\n"),
        ("rows.csv", "label,x,y\r\na,1,2.5\r\nb,3,NaN\r\n"),
        ("rows.csv", "\ufeffx, y, label\n1, 2.5, a\n\n3, NA, b\n"),
        ("rows.csv", "x;y;label\n1;2.5;a\n3;;b\n"),
        ("rows.tsv", "x\ty\tclass\n1\t2.5\ta\n3\t\tb\n"),
        ("rows.csv", ",x,y,label\n0,1,2.5,a\n1,3,,b\n"),
        ("rows.csv", "0,1,label\n1,2.5,a\n3,,b\n"),
        ("rows.txt", "x,y,class\n1,2.5,a\n3,,b\n"),
    ],
)
def test_one_table_in_every_format_gives_the_same_rows(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert load(tmp_path / name) == ROWS
    assert load(str(tmp_path / name)) == ROWS


def test_a_parquet_table_gives_the_same_rows(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(
        pyarrow.table({"x": [1, 3], "y": [2.5, None], "label": ["a", "b"]}), tmp_path / "a.parquet"
    )
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), tmp_path / "b.parquet")
    assert ROWS == load(tmp_path / "a.parquet") == load(tmp_path / "b.parquet")


def test_features_may_be_named(tmp_path: Path) -> None:
    named = [{"features": {"x": 1, "city": "Rome"}, "label": True}]
    (tmp_path / "named.json").write_text(json.dumps(named))
    (tmp_path / "flat.json").write_text(json.dumps([{"x": 1, "city": "Rome", "label": True}]))
    assert named == load(tmp_path / "named.json") == load(tmp_path / "flat.json")


def test_rows_of_a_csv_are_lists_that_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,label,y\n1,0,2\n3,1,4\n")
    row = load(tmp_path / "a.csv")[0]["features"]
    assert (row, row.names) == ([1, 2], ("x", "y"))
    assert ("x", "y") == pickle.loads(pickle.dumps(row)).names == copy.deepcopy(row).names


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (("1", "0"), [1, 0]),
        (("1.0", "0"), [1.0, 0.0]),
        (("true", "False"), [True, False]),
        (("007", "12"), ["007", "12"]),
        (("NA", "US"), ["NA", "US"]),
        (("-1", "+1"), [-1, 1]),
        ((" yes ", '"no, never"'), ["yes", "no, never"]),
    ],
)
def test_labels_of_a_csv_keep_their_kind(
    texts: tuple[str, str], labels: list[object], tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(f"x,label\n1,{texts[0]}\n2,{texts[1]}\n")
    loaded = [row["label"] for row in load(tmp_path / "a.csv")]
    assert [(type(label), label) for label in labels] == [(type(label), label) for label in loaded]


def test_a_column_of_numbers_with_an_odd_text_is_read_as_categories_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.csv").write_text("age,label\n1,0\n2,1\nold,1\n")
    assert [row["features"] for row in load(tmp_path / "a.csv")] == [["1"], ["2"], ["old"]]
    assert "column 'age': 2 of 3 values are numbers, others are not ('old')" in caplog.text


def test_the_choice_of_the_last_column_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.csv").write_text("x,kind\n1,0\n2,1\n")
    with caplog.at_level(logging.INFO):
        assert [row["label"] for row in load(tmp_path / "a.csv")] == [0, 1]
    assert "the label is the last column, 'kind'" in caplog.text


BAD_FILES = [
    ("a.csv", "", "is empty"),
    ("a.csv", "\n \n", "is empty"),
    ("a.csv", "x,label\n", "header line and no rows"),
    ("a.csv", "x,y,label\n1,2,0\n1,0\n", "line 3: found 2 value(s), expected 3"),
    ("a.csv", 'x,label\n"1\n2",0\n3,4,5\n', "line 4: found 3 value(s), expected 2"),
    ("a.csv", "x,label\n1,0\n2,\n", "line 3 has no label"),
    ("a.csv", "x,label\n1,0.5\n2,nan\n", "line 3 has no label"),
    ("a.csv", "x,x,label\n1,2,0\n", "several columns are named 'x'"),
    ("a.csv", "x,,label\n1,2,0\n", "column 2 has no name"),
    ("a.csv", "5.1,3.5,setosa\n4.9,3.0,setosa\n", "line 1: found the number 5.1"),
    ("a.csv", "4,5,0\n6,7,1\n", "line 1: found the number 4"),
    ("a.csv", "label\n1\n", "found one column"),
    ("a.csv", "x,label\n\x001,0\n", "NUL characters"),
    ("a.csv", b"x,label\n\xff,0\n", "not UTF-8 text (byte 8)"),
    ("a.json", "", "is empty"),
    ("a.json", "[]", "has no rows"),
    ("a.json", '{"data": []}', "has no rows"),
    ("a.json", "3", "expected a list of rows"),
    ("a.json", '{"rows": [], "meta": 1}', "found an object with rows, meta"),
    ("a.json", '[{"features": [1],\n "label": }]', "line 2: not readable as JSON"),
    ("a.json", "[" * 100_000, "not readable as JSON"),
    ("a.json", "[1, 2]", "row 1: found 1"),
    ("a.json", '[{"features": [1], "lable": 0}]', "row 1 has no 'label' (did you mean it by 'lable'?)"),
    ("a.json", '[{"feature": [1], "label": 0}]', "row 1 has no 'features' (did you mean it by 'feature'?)"),
    ("a.json", '[{"features": 3, "label": 0}]', "'features' is 3, expected a list"),
    ("a.json", '[{"features": [], "label": 0}]', "'features' is empty"),
    ("a.json", '[{"features": [1], "label": null}]', "row 1 has no label"),
    ("a.json", '[{"features": [1], "label": NaN}]', "row 1 has no label"),
    ("a.json", '[{"features": [1], "label": [0]}]', "row 1 has the label [0] (list)"),
    ("a.json", '[{"features": [1], "label": 1e999}]', "row 1 has the label inf"),
    ("a.json", '[{"features": [1, 2], "label": 0}, {"features": [1], "label": 0}]', "row 2 has 1 feature(s)"),
    (
        "a.json",
        '[{"features": {"x": 1}, "label": 0}, {"features": {"y": 1}, "label": 0}]',
        "row 2: the feature 'x'",
    ),
    (
        "a.json",
        '[{"features": {"x": 1}, "label": 0}, {"features": [1], "label": 0}]',
        "row 2: 'features' is not",
    ),
    ("a.jsonl", '{"features": [1], "label": 0}\n{"features": [1]', "line 2: not readable as JSON"),
    ("a.jsonl", '{"features": [1], "label": 0}\n\n{"features": [1]}', "line 3 has no 'label'"),
    ("a.parquet", "no parquet", "not readable as Parquet"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
def test_a_bad_file_is_an_error_with_its_place(
    name: str, content: str | bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        load(tmp_path / name)
    assert message in str(caught.value)
    assert name in str(caught.value)


def test_paths_that_are_no_file_are_refused(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "a.csv", "there is no folder"),
        (tmp_path / "a.csv", "does not exist"),
        ("", "expected a file's path"),
        (None, "expected a file's path"),
    ):
        with pytest.raises(InputError, match=message):
            load(path)
