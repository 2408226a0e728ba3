from __future__ import annotations

import decimal
import json
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retraining.data.conversion import column_kind
from retraining.data.files import find_files, signatures
from retraining.data.reading import read_schema, read_table
from retraining.errors import DataError

from .samples import dataset, micros


def read(path, text=None, columns=("id", "x"), timezone="UTC", **more):
    if text is not None:
        path.write_text(text, encoding="utf-8")
    one = dataset(path, **more)
    return read_table(one, find_files(one, path.parent), columns, timezone)


def values(table, name="x"):
    """A column as a person reads it: texts, or numbers with None for missing."""
    column = table.columns[name]
    if column.kind == "category":
        return [column.categories[code] if code >= 0 else None for code in column.values.tolist()]
    return [
        None if gone else value for value, gone in zip(column.values.tolist(), column.missing(), strict=True)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,x\n2,b\n1,a\n", ["a", "b"]),
        ("id,x\r\n1,a\r\n2,b\r\n", ["a", "b"]),
        ("\ufeffid,x\n1,a\n2,b\n", ["a", "b"]),
        ("id,x\n1,NO\n2,ON\n", ["NO", "ON"]),
        ("id,x\n1,NA\n2,null\n", ["NA", "null"]),
        ("id,x\n1,\n2,b\n", [None, "b"]),
        ('id,x\n1,""\n2,b\n', ["", "b"]),
        ('id,x\n1,"a, b"\n2,"c\n"\n', ["a, b", "c\n"]),
        ("id,x\n1,007\n2,7\n", ["007", "7"]),
        ("id,x\n1,0x10\n2,16\n", ["0x10", "16"]),
        (
            "id,x\n1,99999999999999999999\n2,99999999999999999998\n",
            ["99999999999999999999", "99999999999999999998"],
        ),
        ("id,x\n1,9007199254740993\n2,1\n", [9007199254740993, 1]),
        ("id,x\n1,0\n2,-10\n", [0, -10]),
        ("id,x\n1,0.5\n2,10\n", [0.5, 10.0]),
        ("id,x\n1,\n2,3\n", [None, 3.0]),
        ("id,x\n1,true\n2,false\n", [1.0, 0.0]),
        ("id,x\n1,\n2,\n", [None, None]),
    ],
)
def test_csv_keeps_what_is_written(tmp_path, text, expected):
    assert values(read(tmp_path / "d.csv", text)) == expected


@pytest.mark.parametrize(
    ("text", "types", "missing", "expected"),
    [
        ("id,x\n1,007\n2,7\n", {"x": "int"}, ("",), [7, 7]),
        ("id,x\n1,7\n2,8\n", {"x": "string"}, ("",), ["7", "8"]),
        ("id,x\n1,7\n2,8\n", {"x": "category"}, ("",), ["7", "8"]),
        ("id,x\n1,NA\n2,8\n", {}, ("", "NA"), [None, 8.0]),
        ("id,x\n1,NA\n2,8\n", {"x": "float"}, ("NA",), [None, 8.0]),
        ("id,x\n1,true\n2,false\n", {"x": "bool"}, ("",), [1.0, 0.0]),
    ],
)
def test_declared_types_and_missing_words_decide(tmp_path, text, types, missing, expected):
    assert values(read(tmp_path / "d.csv", text, types=types, missing=missing)) == expected


@pytest.mark.parametrize("kind", ["int", "float", "bool", "date", "timestamp"])
def test_a_value_that_does_not_fit_its_declared_type_is_an_error_with_file_and_column(tmp_path, kind):
    with pytest.raises(DataError) as caught:
        read(tmp_path / "d.csv", "id,x\n1,green\n", types={"x": kind})
    assert "d.csv" in str(caught.value) or "column x" in str(caught.value)
    assert "green" in str(caught.value)


ZONES = [
    ("2024-03-10T01:30:00Z", "America/New_York", "2024-03-10T01:30:00+00:00"),
    ("2024-03-10T01:30:00+05:30", "America/New_York", "2024-03-09T20:00:00+00:00"),
    ("2024-03-10T01:30:00", "America/New_York", "2024-03-10T06:30:00+00:00"),
    ("2024-07-10 01:30:00", "America/New_York", "2024-07-10T05:30:00+00:00"),
    ("2024-07-10", "America/New_York", "2024-07-10T04:00:00+00:00"),
    # the hour that happens twice is its first time; the hour that is left out moves to after the gap
    ("2024-11-03T01:30:00", "America/New_York", "2024-11-03T05:30:00+00:00"),
    ("2024-03-10T02:30:00", "America/New_York", "2024-03-10T07:00:00+00:00"),
]


@pytest.mark.parametrize(("text", "zone", "expected"), ZONES)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("declared", [True, False])
def test_a_moment_is_the_same_in_every_text_format(tmp_path, text, zone, expected, suffix, declared):
    body = f"id,x\n1,{text}\n" if suffix == "csv" else json.dumps({"id": 1, "x": text}) + "\n"
    types = {"x": "timestamp"} if declared else {}
    table = read(tmp_path / f"d.{suffix}", body, timezone=zone, types=types)
    assert table.columns["x"].kind == "timestamp"
    assert table.columns["x"].values.tolist() == [micros(expected)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_moments_of_any_unit_and_zone_are_microseconds_in_utc(tmp_path, unit):
    moment = pd.Timestamp("2024-07-10T01:30:00")
    table = pa.table(
        {
            "id": [1],
            "naive": pa.array([moment], pa.timestamp(unit)),
            "aware": pa.array([moment], pa.timestamp(unit, "Europe/Berlin")),
            "day": pa.array([moment.date()], pa.date32()),
        }
    )
    pq.write_table(table, tmp_path / "d.parquet")
    found = read(
        tmp_path / "d.parquet", columns=("id", "naive", "aware", "day"), timezone="Europe/Berlin"
    ).columns
    assert found["naive"].values.tolist() == [micros("2024-07-09T23:30:00")]
    assert found["aware"].values.tolist() == [micros("2024-07-10T01:30:00")]
    assert found["day"].values.tolist() == [micros("2024-07-09T22:00:00")]


def test_mixed_texts_of_a_time_column_are_read_one_by_one(tmp_path):
    text = "id,x\n1,2024-07-10T01:30:00Z\n2,2024-07-10T01:30:00\n3,\n"
    found = read(tmp_path / "d.csv", text, timezone="Europe/Berlin", time="x").columns["x"]
    assert found.values.tolist()[:2] == [micros("2024-07-10T01:30:00"), micros("2024-07-09T23:30:00")]
    assert found.missing().tolist() == [False, False, True]


def test_parquet_types_become_four_kinds(tmp_path):
    table = pa.table(
        {
            "id": pa.array([3, 1, 2], pa.int32()),
            "dictionary": pa.array(["b", None, "a"]).dictionary_encode(),
            "decimal": pa.array(
                [decimal.Decimal("1.50"), None, decimal.Decimal("-2.25")], pa.decimal128(9, 2)
            ),
            "unsigned": pa.array([2**64 - 1, 0, 5], pa.uint64()),
            "half": pa.array(np.array([1.5, 2.0, np.nan], np.float16)),
            "flag": pa.array([True, None, False]),
            "nothing": pa.nulls(3),
            "large": pa.array(["x", "y", None], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "d.parquet")
    found = read(tmp_path / "d.parquet", columns=table.column_names)
    assert values(found, "id") == [1, 2, 3]
    assert values(found, "dictionary") == [None, "a", "b"]
    assert values(found, "decimal") == [None, -2.25, 1.5]
    assert values(found, "unsigned") == [0.0, 5.0, float(2**64 - 1)]
    assert values(found, "half") == [2.0, None, 1.5]
    assert values(found, "flag") == [None, 0.0, 1.0]
    assert values(found, "nothing") == [None, None, None]
    assert values(found, "large") == ["y", None, "x"]


def test_several_row_groups_with_their_own_dictionaries_are_one_column(tmp_path):
    schema = pa.schema([("id", pa.int64()), ("x", pa.dictionary(pa.int8(), pa.string()))])
    with pq.ParquetWriter(tmp_path / "d.parquet", schema) as writer:
        for ids, texts in (([3, 1], ["b", "a"]), ([2, 0], ["c", "a"])):
            writer.write_table(
                pa.table(
                    [ids, pa.array(texts).dictionary_encode().cast(schema.field("x").type)], schema=schema
                )
            )
    assert values(read(tmp_path / "d.parquet")) == ["a", "a", "c", "b"]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.binary(), pa.time32("s")]
)
def test_columns_that_hold_no_plain_values_are_refused_by_name(tmp_path, kind):
    table = pa.table({"id": [1], "x": pa.nulls(1, kind)})
    pq.write_table(table, tmp_path / "d.parquet")
    assert column_kind(kind) == "other"
    with pytest.raises(DataError, match="column x has the type"):
        read(tmp_path / "d.parquet")


def test_rows_are_in_the_order_of_the_key_whatever_the_order_of_the_file(tmp_path):
    text = "a,b,x\n2,y,4\n1,z,3\n2,x,2\n1,a,1\n"
    one = dataset(tmp_path / "d.csv", key=("a", "b"))
    (tmp_path / "d.csv").write_text(text)
    table = read_table(one, [tmp_path / "d.csv"], ["a", "b", "x"], "UTC")
    assert values(table) == [1, 3, 2, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,x\n1,a\n1,b\n", "1 row repeats the key"),
        ("id,x\n1,a\n,b\n", "key column id is missing in 1 of 2"),
        ("id,y\n1,a\n", "has no column x"),
        ("", "cannot be read"),
        ("id,x\n1,a,b\n", "cannot be read"),
        ("id,x,x\n1,a,b\n", "more than one column 'x'"),
        ("id;x\n1;a\n", "separated by ';'"),
        ("id\tx\n1\ta\n", "separated by"),
    ],
)
def test_csv_that_cannot_be_a_dataset_is_an_error_that_says_why(tmp_path, text, words):
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path / "d.csv", text)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("d.jsonl", b""),
        ("d.jsonl", b"{"),
        ("d.jsonl", b"[1]\n"),
        ("d.jsonl", b' [{"id": 1, "x": 2}]'),
        ("d.csv", "id,x\n1,a\n".encode("utf-16")),
        ("d.parquet", b"PAR1"),
        ("d.csv", b"id,x\n1,\xff\xfe\n"),
        ("d.parquet", b""),
    ],
)
def test_damaged_files_are_an_error_that_names_the_file(tmp_path, name, body):
    (tmp_path / name).write_bytes(body)
    with pytest.raises(DataError, match=name):
        read(tmp_path / name)


def test_a_header_without_rows_is_a_table_of_no_rows(tmp_path):
    assert read(tmp_path / "d.csv", "id,x\n").n_rows == 0


def test_columns_without_a_name_are_no_columns(tmp_path):
    # what a spreadsheet leaves at the right of a table
    path = tmp_path / "d.csv"
    assert values(read(path, "id,x,,\n1,a,,\n")) == ["a"]
    assert read_schema(dataset(path), [path]).names == ["id", "x"]


def test_a_column_without_values_in_the_first_file_has_the_type_of_the_next(tmp_path):
    (tmp_path / "a.csv").write_text("id,x\n1,\n")
    (tmp_path / "b.csv").write_text("id,x\n2,5\n")
    files = find_files(dataset(tmp_path), tmp_path)
    assert read_schema(dataset(tmp_path), files).field("x").type == pa.int64()


def test_a_schema_needs_a_row_to_tell_the_types_from(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("id,x\n")
    with pytest.raises(DataError, match="no rows"):
        read_schema(dataset(path), [path])


def test_two_parquet_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "d.parquet"
    pq.write_table(
        pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["id", "x", "x"]), path
    )
    for look in (read_schema, lambda one, files: read_table(one, files, ["id", "x"], "UTC")):
        with pytest.raises(DataError, match="more than one column 'x'"):
            look(dataset(path), [path])


def test_a_float_key_that_is_not_a_number_is_missing(tmp_path):
    pq.write_table(pa.table({"id": [1.0, float("nan")], "x": [1, 2]}), tmp_path / "d.parquet")
    with pytest.raises(DataError, match="key column id is missing"):
        read(tmp_path / "d.parquet")


def test_json_lines_keep_gaps_and_blank_lines_apart(tmp_path):
    lines = ['{"id": 2, "x": null}', "", '{"id": 1, "x": "NO"}', '{"id": 3}']
    assert values(read(tmp_path / "d.jsonl", "\n".join(lines) + "\n")) == ["NO", None, None]


def test_dates_in_text_columns_of_json_stay_texts_where_the_manifest_says_so(tmp_path):
    body = '{"id": 1, "x": "2024-01-01"}\n'
    assert values(read(tmp_path / "d.jsonl", body, types={"x": "string"})) == ["2024-01-01"]


def test_folders_and_globs_are_read_as_one_table_and_hidden_files_are_left_out(tmp_path):
    for name, text in {
        "a/1.csv": "id,x\n1,1\n",
        "a/b/2.csv": "id,x\n2,2.5\n",
        "a/.3.csv": "no",
        "a/_tmp.csv": "no",
        "a/4.txt": "no",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for path in ("a", "a/**/[0-9].csv"):
        one = dataset(path)
        files = find_files(one, tmp_path)
        assert [file.name for file in files] == ["1.csv", "2.csv"]
        # whole numbers in one file and fractions in another are one column of numbers
        assert values(read_table(one, files, ["id", "x"], "UTC")) == [1.0, 2.5]


def test_files_that_disagree_on_a_type_are_refused_with_the_way_out(tmp_path):
    (tmp_path / "1.csv").write_text("id,x\n1,5\n")
    (tmp_path / "2.csv").write_text("id,x\n2,five\n")
    one = dataset("*.csv")
    with pytest.raises(DataError, match="disagree") as caught:
        read_table(one, find_files(one, tmp_path), ["id", "x"], "UTC")
    assert "datasets.d.types" in caught.value.next_step
    typed = dataset("*.csv", types={"x": "string"})
    assert values(read_table(typed, find_files(typed, tmp_path), ["id", "x"], "UTC")) == ["5", "five"]


@pytest.mark.parametrize("path", ["missing.csv", "empty", "*.csv", "ftp://host/d.parquet"])
def test_paths_without_files_say_what_to_do(tmp_path, path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="dataset d") as caught:
        find_files(dataset(path), tmp_path)
    assert caught.value.next_step


def test_a_file_without_a_known_suffix_needs_a_format(tmp_path):
    (tmp_path / "d.txt").write_text("id,x\n1,a\n")
    with pytest.raises(DataError, match="format"):
        read(tmp_path / "d.txt")
    assert values(read(tmp_path / "d.txt", format="csv")) == ["a"]


def test_a_signature_changes_with_the_content(tmp_path):
    file = tmp_path / "d.csv"
    file.write_text("id,x\n1,a\n")
    before = signatures([file])
    assert signatures([file]) == before
    file.write_text("id,x\n1,bb\n")
    assert signatures([file]) != before


def test_the_schema_says_what_reading_will_give(tmp_path):
    (tmp_path / "d.csv").write_text("id,x,y,z\n1,007,2024-01-01T00:00:00Z,1.5\n")
    one = dataset(tmp_path / "d.csv", types={"z": "string"})
    schema = read_schema(one, [tmp_path / "d.csv"])
    kinds = {field.name: column_kind(field.type) for field in schema}
    table = read_table(one, [tmp_path / "d.csv"], list(kinds), "UTC")
    assert kinds == {name: column.kind for name, column in table.columns.items()}


def test_reading_loads_no_pandas():
    import subprocess

    code = (
        "import sys; from retraining.data.reading import read_table; from retraining.manifest.values import Dataset\n"
        "import pathlib, tempfile; p = pathlib.Path(tempfile.mkdtemp()) / 'd.csv'\n"
        "p.write_text('id,t\\n1,2024-01-01T00:00:00\\n')\n"
        "read_table(Dataset(name='d', path=str(p), key=('id',), time='t'), [p], ['id', 't'], 'Europe/Berlin')\n"
        "sys.exit(sorted({'pandas', 'ray', 'sklearn'} & set(sys.modules)) != [])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("unit", "told"), [("s", "seconds"), ("ms", "milliseconds"), ("ns", "nanoseconds")])
def test_whole_numbers_that_count_no_microseconds_are_no_moments(tmp_path, unit, told):
    moments = np.array(["2024-05-20T14:00", "2024-05-21T14:00"], f"datetime64[{unit}]").astype(np.int64)
    pq.write_table(pa.table({"id": [1, 2], "x": moments}), tmp_path / "d.parquet")
    with pytest.raises(DataError, match=f"they look like {told}") as caught:
        read(tmp_path / "d.parquet", types={"x": "timestamp"})
    assert f"unit='{unit}'" in caught.value.next_step


def test_whole_numbers_of_microseconds_are_moments(tmp_path):
    moment = np.datetime64("2024-05-20T14:00", "us")
    pq.write_table(pa.table({"id": [1], "x": moment.astype(np.int64)[None]}), tmp_path / "d.parquet")
    assert read(tmp_path / "d.parquet", types={"x": "timestamp"}).columns["x"].values == [
        micros(str(moment) + "Z")
    ]
