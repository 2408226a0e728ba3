"""A real server whose answers get lost, and one that dies: nothing that was acknowledged is lost."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from retraining.errors import AlreadyExistsError, CommitOutcomeUnknownError, ReleaseConflictError
from retraining.store.log import open_store
from retraining.store.objects import open_objects

from .flaky_proxy import flaky_proxy
from .rows import commit, setting


def first_put_of(part, kind):
    """A fault for the first PUT whose path holds `part`."""
    done = []

    def fault(number, method, path):
        if method == "PUT" and part in path and not done:
            done.append(path)
            return kind
        return None

    return fault


@pytest.mark.parametrize("kind", ["lost", "spoiled", "refused"])
def test_a_commit_whose_answer_is_lost_or_wrong_lands_once(s3_server, s3_url, monkeypatch, kind):
    open_store(s3_url, create=True)
    with flaky_proxy(s3_server.endpoint, first_put_of("/log/0", kind)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        store = open_store(s3_url)
        assert commit(store, setting({"a": "v1"})).release == 1
        assert proxy.faults == 1
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    head = open_store(s3_url).read_head()
    assert (head.sequence, head.release, head.nodes["a"].version) == (1, 1, "v1")


def test_a_bare_create_whose_answer_is_lost_is_refused_though_it_is_ours(s3_server, s3_url, monkeypatch):
    """Why the commit reads back: this is what the client library says of our own write."""
    with flaky_proxy(s3_server.endpoint, first_put_of("/log/1", "lost")) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        objects = open_objects(s3_url)
        with pytest.raises(AlreadyExistsError):
            objects.create("log/1", b"ours")
        assert objects.get("log/1") == b"ours"


def test_a_truncated_answer_is_never_taken_for_the_object(s3_server, s3_url, monkeypatch):
    body = bytes(range(256)) * 1_000
    open_objects(s3_url).put("packs/p", body)
    with flaky_proxy(
        s3_server.endpoint, lambda number, method, path: "cut" if number % 2 and method == "GET" else None
    ) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        objects = open_objects(s3_url)
        for _ in range(4):
            assert objects.get("packs/p") == body
            assert objects.get_range("packs/p", 1_000, 100_000) == body[1_000:101_000]
            assert objects.get_tail("packs/p", 70_000) == (body[-70_000:], len(body))
        assert proxy.faults >= 4


def test_with_every_third_answer_lost_concurrent_commits_all_land(s3_server, s3_url, monkeypatch):
    open_store(s3_url, create=True)
    with flaky_proxy(
        s3_server.endpoint,
        lambda number, method, path: ("lost", "spoiled")[number % 2] if number % 3 == 0 else None,
    ) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)

        def one(number):
            return commit(open_store(s3_url), setting({f"n{number}": "v1"}), run=f"run-{number}").release

        with ThreadPoolExecutor(4) as pool:
            releases = list(pool.map(one, range(6)))
        assert proxy.faults > 20
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    head = open_store(s3_url).read_head()
    assert sorted(releases) == list(range(1, 7))
    assert (head.release, set(head.nodes)) == (6, {f"n{number}" for number in range(6)})


def test_sixteen_writers_of_disjoint_parts_all_land_and_of_one_part_one_does(s3_url):
    open_store(s3_url, create=True)

    def disjoint(number):
        return commit(open_store(s3_url), setting({f"n{number}": "v1"}), run=f"run-{number}").release

    def same(number):
        try:
            return commit(
                open_store(s3_url), setting({"shared": f"v{number}"}), before, run=f"same-{number}"
            ).release
        except ReleaseConflictError:
            return None

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(disjoint, range(16))) == list(range(1, 17))
        before = open_store(s3_url).read_head()
        won = [release for release in pool.map(same, range(16)) if release is not None]
    head = open_store(s3_url).read_head()
    assert won == [17]
    assert (head.release, len(head.nodes)) == (17, 17)


def test_a_server_that_dies_and_returns_loses_no_commit(s3_server, s3_url):
    """Four writers commit while the gateway is killed three times; every acknowledged release is there."""
    if not s3_server.folder:
        pytest.skip("RETRAINING_TEST_S3_FOLDER does not say where the server's process is")
    open_store(s3_url, create=True)
    acknowledged: dict[str, int] = {}
    done = threading.Event()

    def write(writer):
        number = 0
        while not done.is_set():
            node = f"w{writer}-{number}"
            with contextlib.suppress(CommitOutcomeUnknownError):
                acknowledged[node] = commit(open_store(s3_url), setting({node: "v1"}), run=node).release
            number += 1

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4)]
        try:
            for _ in range(3):
                done.wait(0.4)
                s3_server.gateway("kill")
                s3_server.gateway("start")
        finally:
            done.wait(0.4)
            done.set()
        for writer in writers:
            writer.result()
    store = open_store(s3_url)
    nodes = store.read_head().nodes
    assert len(acknowledged) > 8
    assert set(acknowledged) <= set(nodes)
    assert len(set(acknowledged.values())) == len(acknowledged)
    entries = [entry.release for entry in store.entries()]
    assert entries == list(range(len(entries), 0, -1))
