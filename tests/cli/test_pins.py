"""A person's pin: the node keeps its champion and its readers go on with it, until it is taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Type

pytestmark = pytest.mark.slow


def change(name: str, old: str, new: str) -> None:
    path = Path(name)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def decisions(type_: Type) -> dict[str, dict[str, object]]:
    plan = type_("plan", "--format", "json").document
    return {decision["node"]: decision for decision in plan["decisions"]}


def test_a_pinned_node_keeps_its_champion_and_its_reader_is_retrained_on_it(
    own_copy: Path, type_: Type
) -> None:
    before = {node["node"]: node for node in type_("status", "--format", "json").document["nodes"]}
    assert type_("pin", "examination", "--because", "audited for  the trial").code == 0
    change("diabetes.yaml", "features: [age, sex, bmi, bp]", "features: [age, sex, bmi]")
    change("diabetes.yaml", "features: [age, sex]\n", "features: [age]\n")
    planned = decisions(type_)
    assert planned["examination"]["action"] == "keep"
    assert "pinned by " in str(planned["examination"]["note"])
    assert str(planned["examination"]["note"]).endswith(": audited for the trial")
    assert planned["progression"]["action"] == "retrain"
    run = type_("run", "--backend", "serial", "--no-progress", "--format", "json").document
    outcomes = {node["node"]: node["outcome"] for node in run["nodes"]}
    assert outcomes["examination"] == "kept"
    assert outcomes["progression"] in ("promoted", "rejected")
    after = {node["node"]: node for node in type_("status", "--format", "json").document["nodes"]}
    assert after["examination"]["version"] == before["examination"]["version"]
    assert after["examination"]["pin"]["because"] == "audited for the trial"
    assert after["progression"]["last_attempt"] != before["progression"]["last_attempt"]


def test_a_pin_is_shown_wherever_the_node_is_and_ends_with_unpin(own_copy: Path, type_: Type) -> None:
    release = type_("status", "--format", "json").document["release"]
    assert type_("pin", "diabetes.yaml", "+progression", "--because", "frozen").out.startswith(
        "pinned 3 nodes"
    )
    assert "frozen" in type_("status").out
    assert "frozen" in type_("explain", "laboratory").out
    assert "frozen" in type_("explain", "--store", "store", "laboratory").out
    assert type_("ls", "--select", "state:pinned").out.split() == ["examination", "laboratory", "progression"]
    assert "pinned" in type_("plan", "--force", "laboratory").out
    answer = type_("unpin", "--store", "store", "state:pinned")
    assert (answer.code, answer.out.startswith("unpinned 3 nodes")) == (0, True)
    status = type_("status", "--format", "json").document
    assert [node["pin"] for node in status["nodes"]] == [None, None, None]
    assert status["release"] == release
    assert decisions(type_)["laboratory"]["note"] == "nothing changed"


def test_a_pin_without_a_reason_or_on_what_is_not_there_is_refused(own_copy: Path, type_: Type) -> None:
    sequence = type_("status", "--format", "json").document["sequence"]
    assert type_("pin", "examination").code == 2
    assert "no reason" in type_("pin", "examination", "--because", " ").err
    assert "no node was named" in type_("pin", "diabetes.yaml", "--because", "x").err
    assert "did you mean examination?" in type_("pin", "examinatio", "--because", "x").err
    assert "no partitions" in type_("pin", "examination[a=1]", "--because", "x").err
    assert "is not pinned" in type_("unpin", "examination").err
    assert "no node is selected by state:rejected" in type_("pin", "state:rejected", "--because", "x").err
    assert type_("status", "--format", "json").document["sequence"] == sequence
