"""What the command line tells of a store and of a run: bounded, counted once, complete where it matters."""

from __future__ import annotations

from dataclasses import replace

from retraining.reporting.grouping import by_cause, counted_texts, list_nodes, partition_values, title_of
from retraining.reporting.history import ReleaseEntry, history_text
from retraining.reporting.run_text import last_line, outcome_text, release_line
from retraining.reporting.standing import NodeStanding, Standing, standing_text


def node(
    name: str, outcome: str = "promoted", because: str = "", version: str | None = "abc"
) -> NodeStanding:
    return NodeStanding(
        node=name,
        model=name.partition("[")[0],
        version=version,
        trained_through="2024-05-01T00:00:00Z" if version else None,
        released="2024-06-01T10:00:00Z" if version else "",
        run="r1",
        outcome=outcome,
        because=because,
        attempted="2024-06-02T10:00:00Z",
        orphaned=False,
    )


def standing(*nodes: NodeStanding) -> Standing:
    return Standing(
        store="./store",
        manifest="m",
        release=3,
        released="2024-06-01T10:00:00Z",
        who="ana@box",
        run="r1",
        sequence=4,
        nodes=nodes,
        untried=("later",),
    )


def test_a_cut_is_the_day_that_begins_then_in_the_manifests_zone() -> None:
    found = replace(standing(node("a")), timezone="Asia/Tokyo")
    row = replace(found.nodes[0], trained_through="2024-04-30T15:00:00Z")
    text = standing_text(replace(found, nodes=(row,)))
    assert "  2024-05-01  " in text
    assert "made 2024-06-01 19:00 JST by ana@box" in text


def test_a_release_is_said_to_change_stay_or_be_missing() -> None:
    assert release_line(None, None) == "nothing is released yet"
    assert release_line(None, 1) == "release 1 is the first"
    assert release_line(3, 4) == "release 3 -> 4"
    assert release_line(4, 4) == "release 4 stays"


def test_a_name_that_leaves_no_room_has_a_line_of_its_own() -> None:
    name = "a_model_of_quite_a_long_name[region=somewhere far away]"
    lines = standing_text(standing(node(name), node("b"))).splitlines()
    at = lines.index(name)
    assert lines[at + 1].strip().startswith("abc")
    assert max(map(len, lines)) <= 80
    other = next(line for line in lines if line.startswith("b  "))
    assert other.index("abc") == lines[at + 1].index("abc")


def test_what_failed_says_what_to_do() -> None:
    told = outcome_text(
        {"a": ("failed", "Ridge failed (infinite values in x): ValueError"), "b": ("rejected", "r")}, {}
    )
    assert "next: make these values finite or missing in the data" in " ".join(told.split())
    assert told.count("next:") == 1
    assert "next: `retrain explain NODE`" in standing_text(standing(node("a", "failed", "it broke")))


def test_the_last_line_counts_outcomes_in_reading_order() -> None:
    line = last_line({"failed": 1, "promoted": 2, "rejected": 3}, 10, 4, 3.25)
    assert line == "6 nodes: 2 promoted, 3 rejected, 1 failed; 10 fits made, 4 reused; 3.2 s"


def test_identical_errors_are_told_once_with_their_nodes() -> None:
    names = [f"m[p={index}]" for index in range(500)]
    outcomes = dict.fromkeys(names, ("failed", "ValueError: no")) | {"a": ("promoted", "")}
    told = outcome_text(outcomes, dict.fromkeys(names, "ValueError: no\n  in the middle"))
    assert told.count("in the middle") == 1
    assert "m[p=…] x500 (500 nodes)" in told
    assert "promoted" not in told


def test_different_causes_are_bounded() -> None:
    outcomes = {f"m[p={index}]": ("rejected", f"worse by {index}") for index in range(100)}
    told = outcome_text(outcomes, {})
    assert len(told.splitlines()) == 25
    assert "88 more nodes for other reasons" in told


def test_a_standing_says_what_needs_a_look_and_since_when() -> None:
    told = standing_text(
        standing(node("a"), node("b", "rejected", "worse"), node("c", "failed", "boom", None))
    )
    assert "release 3 is current" in told
    assert "rejected since 2024-06-02: b" in told
    assert "failed since 2024-06-02: c" in told
    assert "never tried: later" in told
    assert told.endswith(
        "3 nodes: 2 released, 1 never released; last attempts: 1 promoted, 1 rejected, 1 failed\n"
    )


def test_a_standing_of_many_nodes_has_one_line_for_each_model() -> None:
    nodes = [node(f"m[p={index}]", "rejected", f"worse by {index}") for index in range(2000)]
    told = standing_text(standing(*nodes))
    assert "m[p=…] x2,000" in told
    assert len(told.splitlines()) < 50
    assert "m[p=1999]" in standing_text(standing(*nodes), every_node=True)


def test_a_history_says_how_much_is_not_shown() -> None:
    entry = ReleaseEntry(
        number=7,
        time="2024-06-01T10:00:00Z",
        who="ana@box",
        run="r1",
        manifest="m",
        outcomes={"rejected": 1, "promoted": 2},
        reasons=("data", "new"),
    )
    told = history_text([entry], total=7)
    assert "7        2024-06-01 10:00 UTC  ana@box  2 promoted, 1 rejected  data, new" in told
    assert "6 older releases; --limit shows more" in told
    assert history_text([], total=0) == "nothing is released yet\n"


def test_nodes_are_grouped_by_model_and_causes_by_number() -> None:
    names = ["m[p=2]", "m[p=1]", "n"]
    assert (title_of(names[:2]), title_of(["n"])) == ("m[p=…] x2", "n")
    assert partition_values(names[:2]) == "1, 2"
    assert partition_values(['m[p=""]', 'm[p="a,b"]', "m[*]", "m[p=007]"]) == '*, "", "a,b", 007'
    assert list_nodes(names) == "m[p=…] x2, n"
    assert by_cause([("a", "x"), ("b", "y"), ("c", "y")]) == [("y", ["b", "c"]), ("x", ["a"])]
    assert counted_texts(["a", "b", "a"]) == ["a (x2)", "b"]
    assert counted_texts(["a", "a"]) == ["a"]
