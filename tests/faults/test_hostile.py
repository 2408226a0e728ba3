"""Names that want to leave their folder: in manifests, in partition values, in records of the store."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os

import pandas as pd
import pytest

from retraining.errors import InputError, IntegrityError, StoreError
from retraining.operations.gc import clean
from retraining.operations.predict import predict
from retraining.operations.stored import open_stored
from retraining.store.condemned import CondemnedObject, write_condemned
from retraining.store.documents import digest_of
from retraining.store.entries import ObjectPointer, entry_key
from retraining.store.garbage import Keep
from retraining.store.nodes import write_rows
from retraining.store.objects import UnsafeKeyError, open_objects

from .test_damage import FOLDS, rows

pytestmark = pytest.mark.slow

WAYS_OUT = ["../../victim", "/etc/passwd", "..", "a/../../victim", "victim\x00", "packs//x", "a\\..\\victim"]


@pytest.fixture
def released(bench):
    bench.write(FOLDS, d=rows())
    bench.run()
    (bench.folder / "victim").write_text("dear")
    yield bench
    assert (bench.folder / "victim").read_text() == "dear"


def rewrite(bench, **changes):
    """Put an entry into the log that says what a hostile writer wants it to say, with all digests right."""
    head = bench.store().read_head()
    entry = dataclasses.replace(head.entry, sequence=head.sequence + 1, commit="evil", **changes)
    bench.store().objects.create(entry_key(entry.sequence), entry.to_bytes())


def pointer_to(bench, key, data):
    path = bench.folder / "store" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return ObjectPointer(at=key, bytes=len(data), digest=digest_of(data))


def read_all(bench):
    new = {"d": str(bench.folder / "d.parquet")}
    return [
        lambda: bench.store().read_head(),
        lambda: predict(str(bench.folder / "store"), "b", new),
        lambda: bench.run(force=("a",)),
    ]


@pytest.mark.parametrize("name", WAYS_OUT)
def test_a_log_entry_that_points_outside_is_refused_by_every_reader(released, name):
    shard = released.store().read_head().entry.nodes[0]
    rewrite(released, nodes=(dataclasses.replace(shard, at=name),))
    for read in read_all(released):
        with pytest.raises(UnsafeKeyError, match="not a safe object key") as caught:
            read()
        assert caught.value.exit_code == 3
        assert caught.value.next_step


@pytest.mark.parametrize("name", WAYS_OUT)
def test_a_row_whose_model_lies_outside_is_refused(released, name):
    head = released.store().read_head()
    nodes = [
        dataclasses.replace(row, artifact=dataclasses.replace(row.artifact, pack=name))
        for row in head.nodes.values()
    ]
    shard, data = write_rows(nodes, "index/evil/n0")
    pointer_to(released, shard.at, data)
    rewrite(released, nodes=(shard,))
    with pytest.raises(IntegrityError):
        predict(str(released.folder / "store"), "b", {"d": str(released.folder / "d.parquet")})


@pytest.mark.parametrize("name", WAYS_OUT)
def test_a_condemned_list_that_names_what_lies_outside_deletes_nothing(released, name):
    long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    listed = write_condemned([CondemnedObject(key=name, bytes=4, since=long_ago)])
    rewrite(released, kind="gc", condemned=pointer_to(released, "index/evil/condemned-0", listed))
    keep = Keep(releases=1, age=dt.timedelta(0), grace=dt.timedelta(0))
    # what no listing shows is taken for gone; it only leaves the list
    clean(open_stored(str(released.folder / "store"), None), keep, act=True, who="w")


def test_gc_does_not_follow_a_link_out_of_the_store(released):
    outside = released.folder / "private"
    (outside / "run").mkdir(parents=True)
    (outside / "run" / "letter").write_text("dear")
    (released.folder / "store" / "packs" / "evil").symlink_to(outside / "run")
    keep = Keep(releases=1, age=dt.timedelta(0), grace=dt.timedelta(0))
    for _ in range(3):
        clean(open_stored(str(released.folder / "store"), None), keep, act=True, who="w")
    assert (outside / "run" / "letter").read_text() == "dear"


@pytest.mark.parametrize(
    "name", ["../evil", "/evil", "..", "a/b", "%2e%2e/x", "a\\x00b", "a b", ".hidden", "ü/..", "a#b"]
)
@pytest.mark.parametrize("what", ["name", "model", "dataset"])
def test_a_name_in_a_manifest_is_a_plain_word_or_bad_input(bench, what, name):
    names = {"name": "m", "model": "a", "dataset": "d", what: name}
    bench.write("", d=rows())
    (bench.folder / "m.yaml").write_text(
        f'manifest: 1\nname: "{names["name"]}"\n'
        f'datasets: {{"{names["dataset"]}": {{path: d.parquet, key: [id]}}}}\n'
        f'models: {{"{names["model"]}": {{dataset: "{names["dataset"]}", target: y, features: [x], '
        "estimator: {type: Ridge}}}\n"
    )
    with pytest.raises(InputError):
        bench.run()
    assert sorted(os.listdir(bench.folder)) == ["d.parquet", "m.yaml"]


def test_partition_values_of_any_kind_become_nodes_and_no_paths(bench):
    values = ["../../evil", "/etc/passwd", "%2e%2e%2f", "a#b", "..", "x" * 150]
    table = pd.concat([rows().assign(p=value) for value in values], ignore_index=True)
    table["id"] = range(len(table))
    manifest = """
datasets: {d: {path: d.parquet, key: [id]}}
validation: {scheme: folds, folds: 3}
models:
  a: {dataset: d, partition_by: [p], target: y, features: [x], estimator: {type: Ridge}}
"""
    bench.write(manifest, d=table)
    before = set(os.listdir(bench.folder.parent))
    try:
        outcome = bench.run()
    except InputError:
        outcome = None  # values that cannot stand in a node's name may be refused, as bad input
    assert outcome is None or outcome.exit_code == 0
    assert set(os.listdir(bench.folder.parent)) == before
    assert set(os.listdir(bench.folder)) <= {"d.parquet", "m.yaml", "store"}
    if outcome is not None:
        keys = [info.key for info in bench.store().objects.list("")]
        assert not [key for key in keys if "evil" in key or "passwd" in key]


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/../other", "s3://bucket/a/%2e%2e/b", "s3://user:s3cret@bucket/x", "s3://bucket/x?s3cret=1",
        "s3://../x", "gs://bucket/a//b", "az://c/a b", "file://host/s3cret", "s3://bucket/x#s3cret",
    ],
)  # fmt: skip
def test_an_address_that_leads_elsewhere_or_holds_a_secret_is_refused_and_not_repeated(url):
    with pytest.raises(StoreError) as caught:
        open_objects(url)
    assert "s3cret" not in str(caught.value) or url.startswith("file:")
