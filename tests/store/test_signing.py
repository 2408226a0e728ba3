"""Signed stores: what is unsigned is refused before it is parsed, and no key shows anywhere."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from retraining.errors import InputError, IntegrityError, SignatureError
from retraining.store.entries import entry_key
from retraining.store.log import Store, open_store, store_on
from retraining.store.packs import pack_key
from retraining.store.results import load_results, write_segment
from retraining.store.signing import KEY_VARIABLE, NO_KEYS, Keys, read_keys
from retraining.store.verification import verify

from .places import InterceptedObjects, MemoryObjects
from .rows import commit, fit, setting, write_pack

OLD, NEW, OTHER = "old-key-0123456789abcdef", "new-key-0123456789abcdef", "other-key-0123456789abcdef"


def keys(text: str) -> Keys:
    return read_keys({KEY_VARIABLE: text})


def store_with(objects, text: str = "") -> Store:
    return store_on(objects, create=True, keys=keys(text) if text else NO_KEYS)


def test_keys_are_separated_by_commas_or_spaces_and_none_is_no_key():
    assert len(keys(f" {NEW}, {OLD}\n{OTHER} ").accepted) == 3
    assert not read_keys({})
    assert not read_keys({KEY_VARIABLE: "  "})


def test_a_short_key_is_refused_without_being_shown():
    with pytest.raises(InputError) as caught:
        keys(f"{NEW},s3cret")
    assert "s3cret" not in str(caught.value)
    assert NEW not in str(caught.value)


def test_no_text_and_no_pickle_shows_a_key():
    held = keys(NEW)
    assert NEW not in repr(held) + str(held) + f"{held}"
    with pytest.raises(TypeError, match="not sent anywhere"):
        pickle.dumps(held)
    with pytest.raises(TypeError, match="not sent anywhere"):
        copy.deepcopy(held)


def test_a_signed_entry_is_read_with_its_key_and_without_any():
    objects = MemoryObjects()
    head = commit(store_with(objects, NEW), setting({"a": "v1"}))
    signed = store_with(objects, NEW).read_head()
    assert signed.entry.signed
    assert signed.nodes == head.nodes
    plain = store_with(objects).read_head()
    assert plain.entry.signed
    assert plain.nodes == head.nodes


@pytest.mark.parametrize("made_with", ["", OTHER])
def test_an_entry_without_an_accepted_signature_is_refused_and_nothing_it_names_is_read(made_with):
    objects = MemoryObjects()
    commit(store_with(objects, made_with), setting({"a": "v1"}))
    reads = []

    def around(name, arguments, run):
        if name.startswith("get"):
            reads.append(arguments[0])
        return run()

    guarded = store_with(InterceptedObjects(objects, around), f"{NEW},{OLD}")
    reads.clear()
    with pytest.raises(SignatureError, match=r"log/0+1\.json") as caught:
        guarded.read_head()
    assert "security.md" in caught.value.next_step
    assert isinstance(caught.value, IntegrityError)
    assert set(reads) == {"log/_hint", entry_key(1)}
    assert not {OLD, NEW, OTHER} & set(str(caught.value).split())


def test_an_unsigned_entry_is_not_parsed(monkeypatch):
    objects = MemoryObjects()
    commit(store_with(objects), setting({"a": "v1"}))
    guarded = store_with(objects, NEW)
    monkeypatch.setattr(json, "loads", lambda *a, **k: pytest.fail("parsed"))
    with pytest.raises(SignatureError):
        guarded.read_head()


def test_keys_are_rotated_without_a_moment_in_which_somebody_cannot_read():
    objects = MemoryObjects()
    commit(store_with(objects, OLD), setting({"a": "v1"}))
    commit(store_with(objects, f"{NEW},{OLD}"), setting({"a": "v2"}))
    assert store_with(objects, f"{OLD},{NEW}").read_head().nodes["a"].version == "v2"
    assert store_with(objects, NEW).read_head().nodes["a"].version == "v2"
    with pytest.raises(SignatureError):
        store_with(objects, NEW).read_release(1)
    assert store_with(objects, f"{NEW},{OLD}").read_release(1).nodes["a"].version == "v1"


def test_every_flipped_bit_of_a_signed_entry_is_refused():
    objects = MemoryObjects()
    commit(store_with(objects, NEW), setting({"a": "v1"}))
    guarded, body = store_with(objects, NEW), objects.bodies[entry_key(1)]
    for place in range(len(body)):
        objects.bodies[entry_key(1)] = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises(IntegrityError):
            guarded.read_head()


def test_an_entry_of_another_store_with_the_same_key_is_refused():
    one, other = MemoryObjects(), MemoryObjects()
    commit(store_with(one, NEW), setting({"a": "v1"}))
    guarded = store_with(other, NEW)
    for key, body in one.bodies.items():
        if key != "store.json":
            other.put(key, body)
    with pytest.raises(SignatureError):
        guarded.read_head()


def test_a_planted_fit_is_not_taken_up_whether_a_segment_names_it_or_not():
    objects = MemoryObjects()
    store = store_with(objects, NEW)
    mine = {pack_key("mine", 1, 1): write_pack(objects, "mine", 1, fit("honest", b"honest"))}
    write_segment(objects, "mine", 1, 1795000000000, mine, store.keys)
    planted = {pack_key("evil", 1, 1): write_pack(objects, "evil", 1, fit("planted", b"poison"))}
    write_pack(objects, "evil", 2, fit("honest", b"poison"))
    write_segment(objects, "evil", 1, 1795000000001, planted)
    write_segment(objects, "evil", 2, 1795000000002, planted, keys(OTHER))
    index = load_results(objects, None, store.keys)
    assert index.find("fit", "honest").blobs[0].pack == pack_key("mine", 1, 1)
    assert index.find("fit", "planted") is None
    assert not index.loose
    assert len(index.damaged) == 2
    # without keys everything is as ever
    assert load_results(objects).find("fit", "planted")


def test_a_signed_segment_moved_under_another_name_is_refused():
    objects = MemoryObjects()
    packs = {pack_key("r", 1, 1): write_pack(objects, "r", 1, fit("a"))}
    key = write_segment(objects, "r", 1, 1795000000000, packs, keys(NEW))
    objects.put(key[:-1] + "9", objects.bodies.pop(key))
    assert load_results(objects, None, keys(NEW)).find("fit", "a") is None


def test_an_unsigned_hint_is_no_hint():
    objects = MemoryObjects()
    store_with(objects).write_hint("hints/x", {"says": "nothing changed"})
    assert store_with(objects, NEW).read_hint("hints/x") is None
    store_with(objects, NEW).write_hint("hints/x", {"says": "signed"})
    assert store_with(objects, NEW).read_hint("hints/x")["says"] == "signed"
    assert store_with(objects, OTHER).read_hint("hints/x") is None
    assert store_with(objects).read_hint("hints/x")["says"] == "signed"


def test_the_key_comes_from_the_environment_and_is_written_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, NEW)
    store = open_store(str(tmp_path / "s"), create=True)
    commit(store, setting({"a": "v1"}))
    monkeypatch.setenv(KEY_VARIABLE, OTHER)
    with pytest.raises(SignatureError):
        open_store(str(tmp_path / "s")).read_head()
    for path in (tmp_path / "s").rglob("*"):
        if path.is_file():
            assert NEW.encode() not in path.read_bytes()


def test_verify_says_of_an_unsigned_entry_what_a_reader_is_told():
    objects = MemoryObjects()
    commit(store_with(objects, NEW), setting({"a": "v1"}))
    commit(store_with(objects), setting({"a": "v2"}))
    (finding,) = verify(store_with(objects, NEW)).damages
    assert "not signed" in finding.because
    assert "security.md" in finding.remedy
