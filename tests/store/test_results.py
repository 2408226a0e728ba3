from __future__ import annotations

from retraining.store.packs import pack_key, read_blob
from retraining.store.results import ResultIndex, load_results, merge_results, write_segment

from .places import InterceptedObjects, MemoryObjects
from .rows import fit, write_pack

RUN = "1795000000000-00c0ffee"


def test_results_are_found_by_action_and_fingerprint():
    objects = MemoryObjects()
    stored = write_pack(objects, RUN, 1, fit("a", b"model of a"), fit("b"))
    index = load_results(objects)
    assert len(index) == 2
    assert index.find("fit", "a") == stored[0]
    assert index.find("column", "a") is None
    assert index.find("fit", "c") is None
    assert read_blob(objects, index.find("fit", "a").blob("model")) == b"model of a"


def test_a_segment_saves_reading_its_packs_and_a_pack_in_none_is_found_too():
    objects = MemoryObjects()
    packs = {pack_key(RUN, batch, 1): write_pack(objects, RUN, batch, fit(f"f{batch}")) for batch in range(5)}
    write_segment(objects, RUN, 1, 1795000000001, dict(list(packs.items())[:4]))
    tails = []

    def around(name, arguments, run):
        if name == "get_tail":
            tails.append(arguments[0])
        return run()

    index = load_results(InterceptedObjects(objects, around))
    assert tails == [pack_key(RUN, 4, 1)]
    assert [index.find("fit", f"f{batch}") for batch in range(5)] == [
        records[0] for records in packs.values()
    ]


def test_a_damaged_segment_costs_nothing_but_time():
    objects = MemoryObjects()
    records = write_pack(objects, RUN, 1, fit("a"))
    key = write_segment(objects, RUN, 1, 1795000000001, {pack_key(RUN, 1, 1): records})
    body = objects.get(key)
    for place in range(len(body)):
        objects.bodies[key] = body[:place] + bytes([body[place] ^ 4]) + body[place + 1 :]
        index = load_results(objects)
        assert index.find("fit", "a") == records[0]
        assert index.damaged == (key,)


def test_a_damaged_pack_is_a_miss_and_is_named():
    objects = MemoryObjects()
    write_pack(objects, RUN, 1, fit("a"))
    write_pack(objects, RUN, 2, fit("b"))
    bad = pack_key(RUN, 1, 1)
    objects.bodies[bad] = objects.bodies[bad][:-7]
    index = load_results(objects)
    assert index.find("fit", "a") is None
    assert index.find("fit", "b") is not None
    assert index.damaged == (bad,)


def test_a_record_of_a_deleted_pack_is_a_miss():
    objects = MemoryObjects()
    records = write_pack(objects, RUN, 1, fit("a"))
    write_segment(objects, RUN, 1, 1795000000001, {pack_key(RUN, 1, 1): records})
    objects.delete([pack_key(RUN, 1, 1)])
    assert load_results(objects).find("fit", "a") is None


def test_of_two_results_for_one_fingerprint_every_reader_takes_the_same():
    objects = MemoryObjects()
    write_pack(objects, RUN, 2, fit("a", b"second"))
    write_pack(objects, RUN, 1, fit("a", b"first"))
    assert read_blob(objects, load_results(objects).find("fit", "a").blob("model")) == b"first"
    index = ResultIndex()
    index.add(write_pack(objects, RUN, 3, fit("a", b"mine")))
    index.add(write_pack(objects, RUN, 4, fit("a", b"later")))
    assert read_blob(objects, index.find("fit", "a").blob("model")) == b"mine"


def test_foreign_files_beside_the_results_are_passed_over():
    objects = MemoryObjects()
    objects.put("results/.DS_Store", b"x")
    objects.put("packs/.DS_Store", b"x")
    index = load_results(objects)
    assert len(index) == 0
    assert index.damaged == ()


def test_segment_names_sort_by_time():
    objects = MemoryObjects()
    keys = [
        write_segment(objects, RUN, number, ms, {}) for number, ms in [(1, 1795000000000), (2, 1795000000001)]
    ]
    assert keys == sorted(keys)


def test_merged_segments_say_the_same_with_a_read_for_all(tmp_path):
    objects = MemoryObjects()
    for number in range(70):
        run = f"{1795000000000 + number}-00c0ffee"
        packs = {pack_key(run, 1, 1): write_pack(objects, run, 1, fit(f"f{number}"))}
        write_segment(objects, run, 1, 1795000000000 + number, packs)
    before = load_results(objects)
    assert before.unmerged == 70
    base = merge_results(objects, "merging", None)
    reads = []

    def around(name, arguments, run):
        if name.startswith("get"):
            reads.append(arguments[0])
        return run()

    late = {pack_key("late", 1, 1): write_pack(objects, "late", 1, fit("late"))}
    write_segment(objects, "late", 1, 1796000000000, late)
    after = load_results(InterceptedObjects(objects, around), base)
    assert after.unmerged == 1
    assert len(reads) == 2
    assert len(after) == 71
    for number in range(70):
        assert after.find("fit", f"f{number}") == before.find("fit", f"f{number}")
    # what the merge covers may be gone; what it tells of a pack that is gone is a miss
    objects.delete([info.key for info in objects.list("results/")][:70])
    objects.delete([pack_key("1795000000003-00c0ffee", 1, 1)])
    again = load_results(objects, base)
    assert len(again) == 70
    assert again.find("fit", "f3") is None


def test_a_damaged_merge_costs_nothing_but_time():
    objects = MemoryObjects()
    packs = {pack_key(RUN, 1, 1): write_pack(objects, RUN, 1, fit("a"))}
    write_segment(objects, RUN, 1, 1795000000000, packs)
    base = merge_results(objects, "merging", None)
    at = base.objects[0].at
    for place in range(len(objects.bodies[at])):
        body = objects.bodies[at]
        objects.bodies[at] = body[:place] + bytes([body[place] ^ 4]) + body[place + 1 :]
        index = load_results(objects, base)
        assert (index.find("fit", "a"), index.damaged) == (packs[pack_key(RUN, 1, 1)][0], (at,))
        objects.bodies[at] = body


def test_nothing_is_merged_where_no_segment_is_loose():
    assert merge_results(MemoryObjects(), "merging", None) is None
