"""`gate: {approve: manual}` and `promote`: what won waits for a person, and is released without retraining."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.chain import UP, change, decisions, improve_down, improve_up, run, status, versions
from tests.cli.conftest import Type
from tests.cli.test_json import told

pytestmark = pytest.mark.slow

MANUAL_UP = UP.replace("features", "gate: {approve: manual}\n    features")


@pytest.fixture
def manual(chain: Path) -> None:
    """`up` needs approval from now on."""
    change(UP, MANUAL_UP)


def improve(features: str = "x") -> None:
    change(MANUAL_UP, MANUAL_UP.replace("noise", features))


def fits_of(folder: Path) -> int:
    """How many packs of fits the store has."""
    return sum(
        1 for path in (folder / "store/packs").rglob("*") if path.is_file() and "documents" not in path.name
    )


@pytest.mark.usefixtures("manual")
def test_a_winner_and_its_reader_wait_for_approval_and_no_run_retrains_them(chain: Path, type_: Type) -> None:
    first = versions(type_)
    improve()
    assert run(type_) == {"up": "pending", "down": "pending"}
    assert versions(type_) == first
    sequence = status(type_)["sequence"]
    planned = decisions(type_)
    assert [one["action"] for one in planned.values()] == ["keep", "keep"]
    assert [str(one["note"])[:14] for one in planned.values()] == ["pending since "] * 2
    assert set(run(type_).values()) == {"kept"}
    assert status(type_)["sequence"] == sequence
    told = type_("status").out
    assert "pending since " in told
    waits = {name: node["last_attempt"]["waits_for"] for name, node in status(type_)["nodes"].items()}
    assert waits == {"up": ["up"], "down": ["up"]}
    assert "won, and waits for approval" in told
    assert "won, and waits for the approval of up" in told
    assert type_("ls", "--select", "state:pending").out.split() == ["up", "down"]


@pytest.mark.parametrize(("gate", "first"), [("", "pending"), (", first_release: auto", "promoted")])
def test_a_first_version_waits_as_well_unless_the_manifest_lets_it_out(
    chain: Path, type_: Type, gate: str, first: str
) -> None:
    change(UP, MANUAL_UP.replace("manual", f"manual{gate}"))
    Path("store").rename("before")
    assert run(type_) == {"up": first, "down": first}
    if first == "promoted":
        change("features: [noise]\n    estimator", "features: [x]\n    estimator")
        assert run(type_) == {"up": "pending", "down": "pending"}


@pytest.mark.parametrize("more", [(), ("--force", "up")])
def test_what_is_pending_is_withdrawn_where_its_node_leaves_and_tried_anew_where_it_comes_back(
    chain: Path, type_: Type, more: tuple[str, ...]
) -> None:
    text = Path("chain.yaml").read_text()
    third = "  third: {dataset: rows, target: y, features: [x], gate: {approve: manual}, estimator: Ridge}\n"
    Path("chain.yaml").write_text(text + third)
    assert run(type_)["third"] == "pending"
    Path("chain.yaml").write_text(text)
    run(type_, *more)
    left = status(type_)["nodes"]["third"]["last_attempt"]
    assert (left["outcome"], left["because"]) == (
        "cancelled",
        "its node left the manifest or the data before it was released",
    )
    sequence = status(type_)["sequence"]
    run(type_)
    assert status(type_)["sequence"] == sequence
    Path("chain.yaml").write_text(text + third)
    assert run(type_)["third"] == "pending"
    assert type_("promote", "third", "--because", "fine").code == 0


@pytest.mark.usefixtures("manual")
def test_approval_releases_the_set_without_the_data_and_without_a_fit(chain: Path, type_: Type) -> None:
    improve()
    run(type_)
    made, tried = (
        fits_of(chain),
        {name: node["last_attempt"] for name, node in status(type_)["nodes"].items()},
    )
    Path("rows.csv").rename("elsewhere.csv")
    answer = type_("promote", "--store", "store", "up", "--because", "looked at it with sales")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("release 2 promotes 2 nodes")
    Path("elsewhere.csv").rename("rows.csv")
    assert fits_of(chain) == made
    nodes = status(type_)["nodes"]
    assert nodes["up"]["last_attempt"]["outcome"] == "promoted"
    assert "approved by " in nodes["up"]["last_attempt"]["because"]
    assert nodes["up"]["run"] == type_("report", "--format", "json").document["run"]
    assert "looked at it with sales" in nodes["up"]["last_attempt"]["because"]
    assert nodes["up"]["last_attempt"] != tried["up"]
    newest = type_("releases", "--format", "json").document["releases"][0]
    assert (newest["because"], newest["nodes"]) == ("looked at it with sales", ["down", "up"])
    assert (newest["reasons"], newest["outcomes"]) == (["approved"], {"promoted": 2})
    assert "because: looked at it with sales" in type_("releases").out
    assert "looked at it with sales" in type_("explain", "up").out
    assert type_("predict", "down", "--data", "rows.csv", "-o", "out.csv").code == 0
    assert type_("audit").code == 0
    assert type_("diff", "--format", "json").document["counts"]["changed"] == 2
    assert set(run(type_).values()) == {"kept"}


@pytest.mark.usefixtures("manual")
def test_a_run_is_approved_by_its_name(chain: Path, type_: Type) -> None:
    improve()
    run(type_)
    name = type_("report", "--format", "json").document["run"]
    assert "left nothing pending" in type_("promote", "1795667251815-3ab47f24", "--because", "fine").err
    answer = type_("promote", name[:13], "--because", "fine", "--format", "json").document
    assert [one["node"] for one in answer["promoted"]] == ["down", "up"]
    assert answer["release"] == {"before": 1, "after": 2}


@pytest.mark.usefixtures("manual")
def test_what_does_not_hang_on_the_approval_is_released_at_once(chain: Path, type_: Type) -> None:
    improve_down()
    assert run(type_) == {"up": "kept", "down": "promoted"}
    improve()
    change("    inputs: {up: {}}", "    retrain_when: definition\n    inputs: {up: {}}")
    outcomes = run(type_)
    assert outcomes["up"] == "pending"
    before = versions(type_)
    assert type_("promote", "up", "--because", "fine").code == 0
    after = versions(type_)
    assert before["up"] != after["up"]
    if outcomes["down"] == "kept":
        assert before["down"] == after["down"]


def test_a_first_release_waits_too_and_its_readers_with_it(tmp_path: Path, type_: Type, monkeypatch) -> None:
    from tests.cli.chain import write_chain

    write_chain(tmp_path)
    monkeypatch.chdir(tmp_path)
    change(UP, MANUAL_UP)
    assert run(type_) == {"up": "pending", "down": "pending"}
    assert status(type_)["release"] is None
    assert set(run(type_).values()) == {"kept"}
    assert type_("promote", "up", "--because", "fine").code == 0
    assert set(run(type_).values()) == {"kept"}
    assert status(type_)["release"] == 1


@pytest.mark.usefixtures("manual")
def test_a_reader_is_not_released_before_what_it_learnt_from(chain: Path, type_: Type) -> None:
    improve()
    run(type_)
    before = versions(type_)
    answer = type_("promote", "down", "--because", "fine")
    assert answer.code == 2
    assert "promote these too: up" in answer.err
    assert versions(type_) == before


@pytest.mark.usefixtures("manual")
def test_an_approval_that_no_longer_fits_is_refused(chain: Path, type_: Type) -> None:
    improve()
    run(type_)
    improve_down()
    assert run(type_)["down"] == "promoted"
    before = versions(type_)
    answer = type_("promote", "up", "--because", "fine")
    assert answer.code == 2
    assert "down would be served with up" in answer.err
    assert versions(type_) == before


@pytest.mark.usefixtures("manual")
def test_what_waits_is_kept_by_gc(chain: Path, type_: Type) -> None:
    improve()
    run(type_)
    for _ in range(2):
        assert type_("gc", "--keep-releases", "1", "--older-than", "0", "--grace", "0", "--yes").code == 0
    assert type_("promote", "up", "--because", "fine").code == 0
    assert type_("predict", "down", "--data", "rows.csv", "-o", "out.csv").code == 0


def test_a_pinned_challenger_is_not_promoted(chain: Path, type_: Type) -> None:
    change(UP, MANUAL_UP)
    improve()
    run(type_)
    assert type_("pin", "up", "--because", "not before the audit").code == 0
    assert "up is pinned" in type_("promote", "up", "--because", "fine").err


def test_automatic_winners_are_released_as_ever(chain: Path, type_: Type) -> None:
    improve_up()
    assert run(type_) == {"up": "promoted", "down": "promoted"}


@pytest.mark.usefixtures("manual")
def test_the_page_names_exactly_the_fields_of_a_promotion(chain: Path, type_: Type) -> None:
    improve()
    run(type_)
    document = type_("promote", "up", "--because", "fine", "--format", "json").document
    assert document.pop("format") == 1
    assert set(document) == told()["promote"]
