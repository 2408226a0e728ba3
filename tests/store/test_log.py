from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from retraining.errors import (
    AlreadyExistsError,
    CommitOutcomeUnknownError,
    IntegrityError,
    NotFoundError,
    ReleaseConflictError,
    RetrainingError,
    StoreError,
    UnansweredError,
)
from retraining.release.update import Update
from retraining.store.commits import Ports
from retraining.store.documents import sealed
from retraining.store.entries import entry_key, parse_entry
from retraining.store.log import Store, open_store, store_on
from retraining.store.runs import new_run_id, outcome_key, run_key

from .places import InterceptedObjects, MemoryObjects, OverwritingObjects
from .rows import attempt, commit, fit, pointer, setting, state, write_pack

PATIENT = Ports(sleep=lambda seconds: None)


@pytest.fixture
def store() -> Store:
    return store_on(MemoryObjects(), create=True)


def versions(head) -> dict[str, str | None]:
    return {node: row.version for node, row in head.nodes.items()}


# Opening


def test_a_new_store_is_empty_and_is_the_same_store_when_opened_again(tmp_path):
    made = open_store(str(tmp_path / "s"), create=True)
    assert made.read_head().release is None
    assert made.read_head().nodes == {}
    assert open_store(str(tmp_path / "s")).store_id == made.store_id
    assert open_store(str(tmp_path / "s"), create=True).store_id == made.store_id
    document = json.loads((tmp_path / "s" / "store.json").read_bytes())
    assert set(document) == {"format", "store_id", "created", "sealed", "digest"}


def test_a_store_is_made_only_when_asked(tmp_path):
    for url in (str(tmp_path / "missing"), str(tmp_path)):
        with pytest.raises(NotFoundError) as caught:
            open_store(url)
        assert "retrain run" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("create", [False, True])
def test_a_folder_that_is_something_else_is_refused_and_left_alone(tmp_path, create):
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(StoreError, match=r"not a store of retraining: it holds thesis.txt"):
        open_store(str(tmp_path), create=create)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("body", "kind", "what"),
    [
        (b'{"format":2,"new":true}', StoreError, "newer version"),
        (b"{", IntegrityError, "not a JSON document"),
        (b"[" * 100_000, IntegrityError, "not a JSON document"),
        (b"[]", IntegrityError, "expected a JSON object"),
        (b'{"format":1}', IntegrityError, "store_id"),
        (b'{"format":"x"}', IntegrityError, "expected format 1"),
        (b"\xff", IntegrityError, "not a JSON document"),
    ],
)
def test_a_store_document_that_cannot_be_read_is_named(body, kind, what):
    objects = MemoryObjects()
    objects.put("store.json", body)
    with pytest.raises(kind, match=what) as caught:
        store_on(objects)
    assert "store.json" in caught.value.message
    assert caught.value.next_step


def test_eight_who_make_one_store_get_the_same(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        stores = list(pool.map(lambda _: open_store(str(tmp_path / "s"), create=True), range(8)))
    assert len({store.store_id for store in stores}) == 1


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("error", [AlreadyExistsError, UnansweredError])
def test_a_store_and_a_run_s_document_are_made_though_answers_are_lost(applied, error):
    objects, seen = MemoryObjects(), set()

    def around(name, arguments, run):
        if name == "create" and arguments[0] not in seen:
            seen.add(arguments[0])
            if applied:
                run()
            raise error("the answer was lost")
        return run()

    store = store_on(InterceptedObjects(objects, around), create=True)
    store.create_json(run_key("r"), {"run": "r"})
    assert store.read_json(run_key("r"))["run"] == "r"
    with pytest.raises(AlreadyExistsError):
        store.create_json(run_key("r"), {"run": "another"})
    assert seen == {"store.json", run_key("r")}


# Commits and history


def test_releases_count_from_one_and_state_does_not_count(store):
    assert commit(store, setting({"a": "v1"})).release == 1
    assert commit(store, Update(attempts={"a": attempt("v2", "rejected")})).release == 1
    head = commit(store, setting({"b": "v1"}))
    assert (head.sequence, head.release) == (3, 2)
    assert store.read_head() == head
    assert [(e.sequence, e.kind, e.release) for e in store.entries()] == [
        (3, "release", 2),
        (2, "state", 1),
        (1, "release", 1),
    ]


def test_state_before_the_first_release_has_no_release(store):
    head = commit(store, Update(attempts={"a": attempt("v1", "failed")}))
    assert (head.sequence, head.release, versions(head)) == (1, None, {"a": None})
    assert store.read_head() == head


def test_an_empty_update_writes_nothing(store):
    head = commit(store, setting({"a": "v1"}))
    keys = set(store.objects.bodies)
    assert commit(store, Update()) == head
    assert set(store.objects.bodies) == keys


def test_the_commit_fills_in_run_time_and_sequence(store):
    commit(store, setting({"z": "v1"}))
    update = Update(set={"a": state("a", attempt=attempt())}, attempts={"b": attempt("v2", "waiting")})
    head = commit(store, update, run="run-7")
    assert (head.nodes["a"].run, head.nodes["a"].time) == ("run-7", "2026-11-23T14:00:00Z")
    assert head.nodes["a"].attempt.sequence == 2
    assert head.nodes["b"].attempt.sequence == 2
    assert head.nodes["z"].run == "r1"


def test_every_release_can_be_read_again(store):
    heads = {}
    for number in range(1, 8):
        heads[number] = commit(store, setting({f"n{number}": "v", "m": f"v{number}"}))
        if number % 2:
            commit(store, Update(attempts={"m": attempt(f"w{number}", "rejected")}))
    for number, head in heads.items():
        assert store.read_release(number) == head
    for number in (0, -1, 8):
        with pytest.raises(NotFoundError, match="releases are 1 to 7"):
            store.read_release(number)


def test_a_store_without_releases_has_none_to_read(store):
    with pytest.raises(NotFoundError, match="none yet"):
        store.read_release(1)
    commit(store, Update(attempts={"m": attempt("w", "rejected")}))
    with pytest.raises(NotFoundError, match="none yet"):
        store.read_release(1)


@pytest.mark.parametrize("kind", ["release", "state"])
def test_the_kind_must_fit_the_update(store, kind):
    update = setting({"a": "v1"}) if kind == "state" else Update(attempts={"a": attempt()})
    with pytest.raises(ValueError, match=f"kind {kind}"):
        store.commit(
            update, (), kind=kind, run="r", who="w", why={}, manifest={}, now="t", start=store.read_head()
        )


@pytest.mark.parametrize(
    "hint", [b"", b"x", b"0", b"1", b"2", b"3", b"9", b"-1", b"9" * 30, "²".encode(), None]
)
def test_the_hint_may_say_anything(store, hint):
    for number in range(3):
        commit(store, setting({"a": f"v{number}"}))
    store.objects.bodies.pop("log/_hint")
    if hint is not None:
        store.objects.bodies["log/_hint"] = hint
    assert store.read_head().sequence == 3


def test_a_missing_entry_in_the_log_is_noticed(store):
    for number in range(3):
        commit(store, setting({"a": f"v{number}"}))
    store.objects.delete([entry_key(2), "log/_hint"])
    with pytest.raises(IntegrityError, match=r"0002.json is missing"):
        store.read_head()


def test_snapshots_are_pinned_until_they_are_replaced(store):
    first = store.write_index("r1", "s-flights", b"flights")
    second = store.write_index("r2", "s-hours", b"hours")
    more = {
        "run": "r",
        "who": "w",
        "why": {},
        "manifest": {},
        "now": "t",
        "kind": "release",
        "start": store.read_head(),
    }
    store.commit(setting({"a": "v1"}), (), snapshots={"flights": first}, **more)
    head = store.commit(setting({"a": "v2"}), (), snapshots={"hours": second}, **more)
    assert store.read_head().entry.snapshots == head.entry.snapshots == {"flights": first, "hours": second}
    assert store.read_object(first) == b"flights"
    store.objects.put(first.at, b"flightz")
    with pytest.raises(IntegrityError, match=first.at):
        store.read_object(first)


# Damage


def test_a_flipped_bit_anywhere_in_an_entry_is_found(store):
    commit(store, setting({"a": "v1"}))
    key = entry_key(1)
    body = store.objects.get(key)
    for place in range(len(body)):
        for bit in range(8):
            with pytest.raises(StoreError, match=key):
                parse_entry(body[:place] + bytes([body[place] ^ (1 << bit)]) + body[place + 1 :], key)
    for length in range(len(body)):
        with pytest.raises(IntegrityError, match=key):
            parse_entry(body[:length], key)


def test_a_flipped_bit_in_the_node_table_is_found_when_the_head_is_read(store):
    head = commit(store, setting({"a": "v1"}))
    at = head.entry.nodes[0].at
    body = store.objects.bodies[at]
    store.objects.bodies[at] = body[:-9] + bytes([body[-9] ^ 1]) + body[-8:]
    with pytest.raises(IntegrityError, match=at):
        store.read_head()


def test_an_entry_in_anothers_place_is_refused(store):
    commit(store, setting({"a": "v1"}))
    commit(store, setting({"a": "v2"}))
    store.objects.bodies[entry_key(2)] = store.objects.bodies[entry_key(1)]
    with pytest.raises(IntegrityError, match="it holds entry 1"):
        store.read_head()


@pytest.mark.parametrize(
    ("change", "kind", "what"),
    [
        ({"kind": "fork"}, StoreError, "newer version"),
        ({"format": 2}, StoreError, "newer version"),
        ({"run": None}, IntegrityError, "'run'"),
        ({"nodes": [3]}, IntegrityError, "'nodes'"),
        ({"snapshots": {"a": 1}}, IntegrityError, "'a'"),
        ({"sequence": -1}, IntegrityError, "'sequence'"),
    ],
)
def test_an_entry_that_says_something_else_is_refused(store, change, kind, what):
    commit(store, setting({"a": "v1"}))
    document = json.loads(store.objects.get(entry_key(1)))
    del document["digest"]
    with pytest.raises(kind, match=what):
        parse_entry(sealed({**document, **change}), entry_key(1))


# Conflicts


def test_disjoint_updates_both_land_and_the_second_is_rebased(store):
    start = commit(store, setting({"a": "v1", "b": "v1"}))
    commit(store, setting({"a": "v2"}), start, run="first")
    head = commit(store, setting({"b": "v2"}), start, run="second")
    assert versions(head) == {"a": "v2", "b": "v2"}
    assert (head.release, head.nodes["a"].run, head.nodes["b"].run) == (3, "first", "second")


def test_the_same_node_is_a_conflict_that_names_node_and_run(store):
    start = commit(store, setting({"a": "v1", "b": "v1"}))
    commit(store, setting({"a": "v2"}), start, run="run-first")
    with pytest.raises(ReleaseConflictError, match=r"a: expected v1, found v2 \(run run-first\)") as caught:
        commit(store, setting({"a": "v3"}), start, run="run-second")
    assert caught.value.exit_code == 4
    assert "run again" in caught.value.next_step
    assert versions(store.read_head()) == {"a": "v2", "b": "v1"}


def test_a_neighbour_that_changed_is_a_conflict(store):
    edges = [("up", "down")]
    start = commit(store, setting({"up": "v1", "down": "v1", "far": "v1"}))
    commit(store, setting({"up": "v2"}), start, edges=edges)
    with pytest.raises(ReleaseConflictError, match="up: expected v1, found v2"):
        commit(store, setting({"down": "v2"}), start, edges=edges)
    assert commit(store, setting({"far": "v2"}), start, edges=edges).release == 3


def test_runs_that_looked_at_the_same_time_lose_no_cursor_and_write_nothing_twice(store):
    start = commit(store, setting({"a": "v1", "b": "v1"}))
    first = commit(store, Update(cursors={"a": {"schedule": 5, "feedback": 1}}), start, run="r1")
    second = commit(
        store, Update(cursors={"a": {"schedule": 4, "feedback": 2}, "b": {"x": 1}}), start, run="r2"
    )
    assert second.sequence == first.sequence + 1
    assert (second.release, second.entry.kind) == (1, "state")
    found = store.read_head().nodes
    assert found["a"].cursors == {"schedule": 5, "feedback": 2}
    assert found["b"].cursors == {"x": 1}
    assert commit(store, Update(cursors={"a": {"schedule": 5}}), start, run="r3").sequence == second.sequence
    released = commit(store, setting({"b": "v2"}), start, run="r4")
    assert released.nodes["b"].cursors == {"x": 1}


def test_of_two_first_releases_of_a_node_one_wins(store):
    start = store.read_head()
    commit(store, setting({"a": "v1"}), start)
    with pytest.raises(ReleaseConflictError, match="a: expected no version, found v1"):
        commit(store, setting({"a": "w1"}), start)


def test_many_conflicts_are_counted_and_the_first_ten_shown(store):
    names = {f"n{i:02d}": "v1" for i in range(30)}
    start = commit(store, setting(names))
    commit(store, setting(dict.fromkeys(names, "v2")), start)
    with pytest.raises(ReleaseConflictError, match="30 nodes") as caught:
        commit(store, setting(dict.fromkeys(names, "v3")), start)
    assert "and 20 more" in caught.value.message


def test_a_release_that_would_pair_a_node_with_another_upstream_version_is_refused(store):
    commit(store, Update(set={"up": state("up"), "down": state("down", wiring={"up": "v1"})}))
    with pytest.raises(RetrainingError, match="would serve down with up v2"):
        commit(store, setting({"up": "v2"}))
    both = Update(set={"up": state("up", "v2"), "down": state("down", "v2", wiring={"up": "v2"})})
    assert commit(store, both).release == 2


def test_an_orphan_does_not_hold_its_upstream_back(store):
    commit(store, Update(set={"up": state("up"), "down": state("down", wiring={"up": "v1"})}))
    commit(store, Update(orphaned=frozenset({"down"})))
    head = commit(store, setting({"up": "v2"}))
    assert head.nodes["down"].orphaned
    assert versions(head) == {"up": "v2", "down": "v1"}


def test_eight_threads_on_disjoint_nodes_all_land_with_consecutive_releases(tmp_path):
    start = open_store(str(tmp_path), create=True).read_head()

    def work(number: int) -> int:
        head = commit(open_store(str(tmp_path)), setting({f"n{number}": "v1"}), start, run=f"run-{number}")
        return head.release

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == list(range(1, 9))
    store = open_store(str(tmp_path))
    assert versions(store.read_head()) == {f"n{number}": "v1" for number in range(8)}
    for number in range(1, 9):
        assert len(store.read_release(number).nodes) == number


def test_of_eight_threads_on_one_node_one_wins_and_the_others_hear_of_it(tmp_path):
    start = open_store(str(tmp_path), create=True).read_head()

    def work(number: int) -> str:
        try:
            commit(open_store(str(tmp_path)), setting({"a": f"v{number}"}), start, run=f"run-{number}")
        except ReleaseConflictError as error:
            return error.message
        return ""

    with ThreadPoolExecutor(8) as pool:
        messages = list(pool.map(work, range(8)))
    assert messages.count("") == 1
    winner = messages.index("")
    head = open_store(str(tmp_path)).read_head()
    assert (versions(head), head.release) == ({"a": f"v{winner}"}, 1)
    assert all(f"found v{winner} (run run-{winner})" in message for message in messages if message)


# Replies that get lost


def on_create(inner, answer):
    """A store on which the creation of a log entry goes as `answer(number of the try, do it)` says."""
    tries = []

    def around(name, arguments, run):
        if name == "create" and arguments[0].startswith("log/"):
            tries.append(arguments[0])
            return answer(len(tries), run)
        return run()

    return InterceptedObjects(inner, around), tries


def with_answers(answer) -> tuple[Store, list[str], Store]:
    objects = MemoryObjects()
    plain = store_on(objects, create=True)
    commit(plain, setting({"a": "v1"}))
    flaky, tries = on_create(objects, answer)
    return Store(flaky, store_id=plain.store_id, ports=PATIENT), tries, plain


@pytest.mark.parametrize(
    "error", [ConnectionError("reset"), TimeoutError(), AlreadyExistsError("x"), StoreError("503")]
)
def test_a_commit_whose_reply_was_lost_lands_once(error):
    def answer(number, run):
        run()
        raise error

    store, _, plain = with_answers(answer)
    assert commit(store, setting({"a": "v2"})).release == 2
    assert [entry.sequence for entry in plain.entries()] == [2, 1]


@pytest.mark.parametrize("error", [ConnectionError("reset"), AlreadyExistsError("409"), StoreError("503")])
def test_a_commit_that_was_not_applied_is_sent_again(error):
    def answer(number, run):
        if number < 3:
            raise error
        return run()

    store, tries, plain = with_answers(answer)
    assert commit(store, setting({"a": "v2"})).release == 2
    assert set(tries) == {entry_key(2)}
    assert plain.read_head().release == 2


def test_a_number_that_another_took_meanwhile_is_left_to_it():
    def answer(number, run):
        if number == 1:
            commit(plain, setting({"b": "v1"}), run="other")
            raise ConnectionError("reset")
        return run()

    store, _, plain = with_answers(answer)
    head = commit(store, setting({"a": "v2"}))
    assert (head.sequence, versions(head)) == (3, {"a": "v2", "b": "v1"})


def test_a_store_that_keeps_refusing_is_an_error_and_nothing_landed():
    def answer(number, run):
        raise StoreError("no space left")

    store, tries, plain = with_answers(answer)
    with pytest.raises(StoreError, match="no space left"):
        commit(store, setting({"a": "v2"}))
    assert len(tries) > 1
    assert plain.read_head().release == 1


@pytest.mark.parametrize("error", [TimeoutError, UnansweredError])
def test_a_store_that_never_answers_leaves_the_outcome_unknown(error):
    def answer(number, run):
        raise error("no answer")

    store, _, _ = with_answers(answer)
    with pytest.raises(CommitOutcomeUnknownError, match=r"did not answer whether log/0+2.json") as caught:
        commit(store, setting({"a": "v2"}))
    assert caught.value.exit_code == 5


def test_a_store_that_does_not_exclude_is_refused_before_anything_is_written():
    objects = MemoryObjects()
    plain = store_on(objects, create=True)
    before = dict(objects.bodies)

    def around(name, arguments, run):
        if name == "verify_exclusion":
            raise StoreError("every writer wins")
        return run()

    store = Store(InterceptedObjects(objects, around), store_id=plain.store_id, ports=PATIENT)
    with pytest.raises(StoreError, match="every writer wins"):
        commit(store, setting({"a": "v1"}))
    assert objects.bodies == before


@pytest.mark.parametrize("applied", [False, True])
def test_a_store_that_cannot_be_read_back_leaves_the_outcome_unknown_and_deletes_nothing(applied):
    objects = MemoryObjects()
    plain = store_on(objects, create=True)
    commit(plain, setting({"a": "v1"}))
    broken = []

    def around(name, arguments, run):
        if name == "create":
            if applied:
                run()
            broken.append(True)
            raise ConnectionError
        if name == "get" and broken:
            raise ConnectionError
        assert name != "delete"
        return run()

    store = Store(InterceptedObjects(objects, around), store_id=plain.store_id, ports=PATIENT)
    with pytest.raises(CommitOutcomeUnknownError):
        commit(store, setting({"a": "v2"}))
    assert plain.read_head().release == (2 if applied else 1)


def test_a_store_that_has_stopped_excluding_is_found_out_at_a_commit():
    store = store_on(OverwritingObjects(), create=True)
    with pytest.raises(StoreError, match="created twice"):
        commit(store, setting({"a": "v1"}))
    assert store.read_head().release == 1


def test_a_hint_that_cannot_be_written_does_not_matter():
    objects = MemoryObjects()

    def around(name, arguments, run):
        if name == "overwrite":
            raise StoreError("read only")
        return run()

    store = store_on(InterceptedObjects(objects, around), create=True)
    assert commit(store, setting({"a": "v1"})).release == 1
    assert store.read_head().release == 1
    store.write_hint("hints/snapshots/flights", {"rows": 3})
    assert store.read_hint("hints/snapshots/flights") is None


def test_writers_that_always_lose_give_up_with_a_conflict():
    def answer(number, run):
        commit(plain, setting({"b": f"v{number}"}), run="other")
        raise AlreadyExistsError("lost")

    store, _, plain = with_answers(answer)
    clock = iter(range(0, 1000, 25))
    store = Store(
        store.objects, store_id="s", ports=dataclasses.replace(PATIENT, monotonic=lambda: next(clock))
    )
    with pytest.raises(ReleaseConflictError, match="took every number"):
        commit(store, setting({"a": "v2"}))


# Documents of runs


def test_a_run_writes_its_document_once(store):
    run = new_run_id(1795000000000, b"\x00\xc0\xff\xee")
    assert run == "1795000000000-00c0ffee"
    store.create_json(run_key(run), {"who": "ann@host"})
    store.create_json(run_key(run), {"who": "ann@host"})
    with pytest.raises(AlreadyExistsError):
        store.create_json(run_key(run), {"who": "bob@host"})
    store.put_json(outcome_key(run), {"counts": {"promoted": 3}})
    assert store.read_json(run_key(run)) == {"format": 1, "who": "ann@host"}
    assert store.read_json(outcome_key(run)) == {"format": 1, "counts": {"promoted": 3}}
    assert run_key(run) == f"runs/{run}/run.json"


def test_runs_are_listed_newest_first(store):
    for ms in (1795000000002, 1795000000001, 1795000000003):
        store.create_json(run_key(new_run_id(ms, b"abcd")), {})
    assert [run[:13] for run in store.runs()] == ["1795000000003", "1795000000002", "1795000000001"]


@pytest.mark.parametrize(("ms", "random_bytes"), [(1, b"abcd"), (1795000000000, b"abc")])
def test_a_run_id_needs_its_digits(ms, random_bytes):
    with pytest.raises(ValueError, match="run id"):
        new_run_id(ms, random_bytes)


def test_a_hint_is_read_back_or_is_nothing(store):
    key = "hints/snapshots/flights"
    assert store.read_hint(key) is None
    store.write_hint(key, {"rows": 3})
    assert store.read_hint(key)["rows"] == 3
    body = store.objects.get(key)
    for place in range(len(body)):
        store.objects.bodies[key] = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        assert store.read_hint(key) is None


def test_packs_that_another_run_left_are_settled_before_they_are_named(store):
    (record,) = write_pack(store.objects, "killed", 1, fit("a"))
    settled = []

    def around(name, arguments, run):
        if name == "settle":
            settled.append(arguments[0])
        if name == "create":
            assert "packs/killed/" in settled
        return run()

    watched = Store(InterceptedObjects(store.objects, around), store_id=store.store_id)
    commit(watched, Update(set={"a": state("a", artifact=record.blob("model"), document=pointer())}))
    assert settled[-1] == "log/"
