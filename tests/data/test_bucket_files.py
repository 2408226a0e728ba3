"""Datasets in a bucket: which objects an address names, how they are read, and what is refused."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from store.memory_bucket import MemoryBucket

from retraining.data import objects
from retraining.data.files import find_files, signatures
from retraining.data.reading import read_schema, read_table
from retraining.errors import DataError

from .samples import dataset


@pytest.fixture
def bucket():
    return MemoryBucket()


def find(bucket, path, **more):
    return find_files(dataset(path, **more), None, opener=lambda address: bucket)


def names(files):
    return [str(file).removeprefix("s3://bucket/") for file in files]


def values(bucket, path, column="x", **more):
    one = dataset(path, **more)
    files = find(bucket, path, **more)
    read_schema(one, files)
    return read_table(one, files, ["id", column], "UTC").columns[column].values.tolist()


def parquet(table, **more):
    sink = io.BytesIO()
    pq.write_table(table, sink, **more)
    return sink.getvalue()


# Which objects an address names


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://bucket/day/a.csv", ["day/a.csv"]),
        ("s3://bucket/day", ["day/a.csv", "day/b/c.csv"]),
        ("s3://bucket/day/", ["day/a.csv", "day/b/c.csv"]),
        ("s3://bucket/", ["day/a.csv", "day/b/c.csv", "days/d.csv"]),
        ("s3://bucket", ["day/a.csv", "day/b/c.csv", "days/d.csv"]),
        ("s3://bucket/day/*.csv", ["day/_tmp.csv", "day/a.csv"]),
        ("s3://bucket/day/**/[a-z].csv", ["day/a.csv", "day/b/c.csv"]),
        ("s3://bucket/day?/[a-d].csv", ["days/d.csv"]),
        ("s3://bucket/table.parquet", ["table.parquet/part-0.parquet", "table.parquet/part-1.parquet"]),
        ("S3://bucket/year=2024/?.jsonl", ["year=2024/e.jsonl"]),
        ("s3://bucket/plain", ["plain"]),
    ],
)
def test_an_address_names_an_object_a_folder_or_what_a_pattern_matches(bucket, path, expected):
    for key in [
        "days/d.csv", "day/a.csv", "day/b/c.csv", "day/_tmp.csv", "day/.x.csv", "day/readme.txt",
        "table.parquet/part-1.parquet", "table.parquet/part-0.parquet", "table.parquet/_SUCCESS",
        "year=2024/e.jsonl", "plain",
    ]:  # fmt: skip
        bucket.put(key, "id,x\n")
    for folder in ("day/", "day/b/", "day/empty/", "table.parquet/"):
        bucket.put(folder, "")
    declared = "csv" if path in ("s3://bucket", "s3://bucket/", "s3://bucket/plain") else None
    assert names(find(bucket, path, format=declared)) == expected


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("s3://bucket/a/one.csv", ["find"]),
        ("s3://bucket/a", ["list"]),
        ("s3://bucket/a/*.csv", ["list"]),
        ("s3://bucket/a/**/*.csv", ["list"]),
    ],
)
def test_a_dataset_is_found_and_known_again_by_one_request_and_without_reading(bucket, path, asked):
    bucket.put("a/one.csv", "id,x\n1,2\n")
    first = signatures(find(bucket, path))
    assert [words[0] for words in bucket.asked] == asked
    assert signatures(find(bucket, path)) == first
    bucket.put("a/one.csv", "id,x\n1,3\n")
    assert signatures(find(bucket, path)) != first
    assert bucket.downloaded() == 0


@pytest.mark.parametrize(
    ("path", "said", "step"),
    [
        ("s3://bucket/none.csv", "s3://bucket/none.csv does not exist", "--data d=PATH"),
        ("s3://bucket/none", "s3://bucket/none does not exist", "mend `datasets.d.path`"),
        ("s3://bucket/text/*.csv", "matches no object", "mend `datasets.d.path`"),
        ("s3://bucket/text", "holds 1 object but no data files", "end names in .parquet"),
        ("s3://bucket/mixed", "of 2 formats, as s3://bucket/mixed/a.csv and s3://bucket/mixed/b.parquet", "`format`"),
        ("s3://bucket/text/a.txt", "cannot tell the format of a.txt", "write `format`"),
        ("s3://bucket/empty.csv", "s3://bucket/empty.csv cannot be read: Empty CSV file", "mend the file"),
        ("s3://bucket/broken.parquet", "broken.parquet cannot be read", "mend the file"),
        ("s3://user:verysecret@bucket/a.csv", "no user, password, port or query", "AWS_ACCESS_KEY_ID"),
        ("s3://bucket/a.csv?X-Amz-Signature=verysecret", "no user, password, port or query", "AWS_ACCESS"),
        ("s3://bucket/a//b.csv", "two slashes in a row", "single slashes"),
        ("s3://bucket/../b.csv", "'..' is no part of an object's name", "single slashes"),
        ("s3://x", "'x' is not the name of a bucket", "s3://BUCKET/PREFIX"),
        ("https://host/a.csv?verysecret", "https:// paths cannot be read", "s3://, gs:// or az://"),
    ],
)  # fmt: skip
def test_what_names_no_data_says_what_is_wrong_and_what_to_do(bucket, tmp_path, path, said, step):
    bucket.put("text/a.txt", "id,x\n")
    bucket.put("mixed/a.csv", "id,x\n")
    bucket.put("mixed/b.parquet", "PAR1")
    bucket.put("empty.csv", "")
    bucket.put("broken.parquet", b"PAR1 and no more")
    one = dataset(path)
    with pytest.raises(DataError, match="dataset d: ") as caught:
        read_schema(one, find_files(one, tmp_path, opener=lambda address: bucket))
    assert said in caught.value.message
    assert step in caught.value.next_step
    assert "verysecret" not in str(caught.value)


# Reading


def test_every_format_gives_the_rows_that_a_local_file_gives(bucket, tmp_path):
    table = pa.table({"id": [3, 1, 2], "x": [0.5, 1.5, None], "y": ["c", "007", "b"]})
    bodies = {
        "d.parquet": parquet(table),
        "d.csv": b"id,x,y\n3,0.5,c\n1,1.5,007\n2,,b\n",
        "d.jsonl": b'{"id":3,"x":0.5,"y":"c"}\n{"id":1,"x":1.5,"y":"007"}\n{"id":2,"x":null,"y":"b"}\n',
    }
    for name, body in bodies.items():
        (tmp_path / name).write_bytes(body)
        bucket.put(name, body)
        one, local = dataset(f"s3://bucket/{name}"), dataset(tmp_path / name)
        here, there = find_files(local, tmp_path), find(bucket, f"s3://bucket/{name}")
        assert read_schema(one, there) == read_schema(local, here)
        mine, other = (
            read_table(which, files, ["id", "x", "y"], "UTC")
            for which, files in ((one, there), (local, here))
        )
        for column in ("id", "x", "y"):
            assert mine.columns[column].categories == other.columns[column].categories
            np.testing.assert_array_equal(mine.columns[column].values, other.columns[column].values)


def test_a_packed_csv_is_unpacked_as_a_local_one_is(bucket):
    bucket.put("d.csv.gz", gzip.compress(b"id,x\n1,5\n2,6\n"))
    assert values(bucket, "s3://bucket/d.csv.gz", format="csv") == [5, 6]


def test_the_objects_of_a_folder_are_one_table(bucket):
    for number in range(20):
        bucket.put(f"a/{number}.csv", f"id,x\n{number},{number}.5\n")
    assert values(bucket, "s3://bucket/a") == [number + 0.5 for number in range(20)]
    # the first object gave the types too, and was not asked for twice
    assert len([one for one in bucket.asked if one[0] == "read"]) == 20


def test_an_object_that_was_replaced_or_removed_after_it_was_found_is_refused(bucket):
    for change in (lambda: bucket.put("d.csv", "id,x\n1,3\n"), bucket.bodies.clear):
        bucket.put("d.csv", "id,x\n1,2\n")
        one, files = dataset("s3://bucket/d.csv"), find(bucket, "s3://bucket/d.csv")
        change()
        with pytest.raises(DataError, match=r"dataset d: s3://bucket/d\.csv changed while it was read"):
            read_table(one, files, ["id", "x"], "UTC")


@pytest.fixture
def small_parts(monkeypatch):
    """Sizes at which a small file is large."""
    monkeypatch.setattr(objects, "_PART_BYTES", 10_000)
    monkeypatch.setattr(objects, "_WHOLE_BYTES", 20_000)
    monkeypatch.setattr(objects, "_GAP_BYTES", 1_000)


def wide(rows=20_000, columns=8):
    numbers = np.random.default_rng(0)
    return pa.table(
        {"id": np.arange(rows)}
        | {f"c{place}": numbers.normal(size=rows) for place in range(columns)}
        | {"a.b": numbers.integers(0, 9, rows), "nested": [[1, 2]] * rows}
    )


def test_of_a_large_parquet_object_only_the_wanted_columns_are_downloaded(bucket, small_parts):
    table = wide()
    bucket.put("d.parquet", parquet(table, row_group_size=5_000))
    size = len(bucket.bodies["d.parquet"])
    one, files = dataset("s3://bucket/d.parquet"), find(bucket, "s3://bucket/d.parquet")
    read_schema(one, files)
    assert bucket.downloaded() == 128 * 2**10
    read = read_table(one, files, ["id", "c3", "a.b"], "UTC")
    np.testing.assert_array_equal(read.columns["c3"].values, table["c3"].to_numpy())
    np.testing.assert_array_equal(read.columns["a.b"].values, table["a.b"].to_numpy())
    assert bucket.downloaded() < 128 * 2**10 + size / 4


def test_a_large_object_comes_in_parts_that_are_put_together_in_order(bucket, small_parts):
    table = wide(rows=5_000).drop_columns(["nested"])
    sink = io.BytesIO()
    pa.csv.write_csv(table, sink)
    bucket.put("d.csv", sink.getvalue())
    assert len(sink.getvalue()) > 300_000
    assert values(bucket, "s3://bucket/d.csv", "c7") == table["c7"].to_pylist()
    assert bucket.downloaded() == len(sink.getvalue())


def test_what_was_not_fetched_before_is_fetched_when_it_is_read(bucket):
    body = bytes(range(256)) * 100
    asked = []

    def download(spans):
        asked.extend(spans)
        return [bytearray(body[start:end]) for start, end in spans]

    file = objects.RangedFile(download, len(body))
    file.fetch([(100, 200), (150, 300), (len(body) - 5, len(body) + 50)])
    assert asked == [(100, len(body))]  # the gap costs less than a request
    file.seek(120)
    assert (file.read(10), file.tell(), len(asked)) == (body[120:130], 130, 1)
    file.seek(0)
    assert file.read(300) == body[:300]
    assert asked[1:] == [(0, 300)]
    file.seek(-3, io.SEEK_END)
    assert (file.read(), file.read()) == (body[-3:], b"")
