"""`promote` against the gate: what was rejected or could not be judged is released, whole or not at all."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.cli.chain import (
    DOWN,
    UP,
    change,
    decisions,
    improve_down,
    improve_up,
    run,
    status,
    versions,
    write_chain,
)
from tests.cli.conftest import Type

pytestmark = pytest.mark.slow


def spoil_up() -> None:
    """Takes its signal from `up`: its challenger loses against the champion."""
    change(UP.replace("noise", "x"), UP)


def with_a_good_champion(type_: Type) -> None:
    improve_up()
    assert run(type_) == {"up": "promoted", "down": "promoted"}
    improve_down()
    assert run(type_) == {"up": "kept", "down": "promoted"}


def test_a_rejected_challenger_is_released_and_the_history_says_who_and_why(chain: Path, type_: Type) -> None:
    change(UP, UP.replace("noise", "noise, z"))
    improved = run(type_)
    assert improved["up"] == "promoted"
    change(UP.replace("noise", "noise, z"), UP.replace("noise", "noise"))
    assert run(type_)["up"] == "rejected"
    before = status(type_)
    answer = type_("promote", "up", "down", "--because", "z is wrong since May")
    assert answer.code == 0, answer.err
    after = status(type_)
    assert after["release"] == before["release"] + 1
    assert after["nodes"]["up"]["version"] != before["nodes"]["up"]["version"]
    tried = after["nodes"]["up"]["last_attempt"]
    assert tried["outcome"] == "promoted"
    assert "z is wrong since May (the gate: rejected: " in tried["because"]
    newest = type_("releases", "--format", "json").document["releases"][0]
    assert newest["because"] == "z is wrong since May"
    assert "up" in newest["nodes"]
    told = type_("explain", "up").out
    assert "z is wrong since May" in told
    story = type_("explain", "up", "--format", "json").document["nodes"][0]
    assert story["champion"]["document"]["verdict"]["overruled"]["verdict"] == "rejected"
    assert "z is wrong since May" in type_("report", "-o", "page.html").out + Path("page.html").read_text()
    assert type_("audit").code == 0
    assert type_("predict", "down", "--data", "rows.csv", "-o", "out.csv").code == 0
    assert set(run(type_).values()) == {"kept"}


def test_an_expression_means_what_is_not_released_and_what_reads_it(chain: Path, type_: Type) -> None:
    with_a_good_champion(type_)
    change(DOWN.replace("noise", "z"), DOWN)
    assert run(type_) == {"up": "kept", "down": "rejected"}
    answer = type_("promote", "up+", "--because", "z is wrong", "--format", "json")
    assert [one["node"] for one in answer.document["promoted"]] == ["down"]
    spoil_up()
    assert run(type_)["up"] == "rejected"
    answer = type_("promote", "up+", "--because", "x is wrong", "--format", "json")
    assert [one["node"] for one in answer.document["promoted"]] == ["down", "up"]


def test_a_promotion_that_a_reader_does_not_bear_is_refused_with_what_to_promote_along(
    chain: Path, type_: Type
) -> None:
    improve_up()
    assert set(run(type_).values()) == {"promoted"}
    spoil_up()
    assert run(type_)["up"] == "rejected"
    before = status(type_)
    answer = type_("promote", "up", "--because", "x is wrong")
    assert answer.code == 2
    assert "waits" in answer.err
    assert "down" in answer.err
    assert "nothing was released" in answer.err
    after = status(type_)
    assert (after["sequence"], after["nodes"]) == (before["sequence"], before["nodes"])
    together = type_("promote", "up", "down", "--because", "x is wrong")
    assert together.code == 0, together.err
    assert versions(type_)["up"] != before["nodes"]["up"]["version"]


def test_a_challenger_that_cannot_be_made_again_is_refused(chain: Path, type_: Type) -> None:
    improve_up()
    run(type_)
    spoil_up()
    assert run(type_)["up"] == "rejected"
    rows = Path("rows.csv").read_text()
    Path("rows.csv").write_text(rows + "9999,1,1,1,5\n")
    answer = type_("promote", "up", "down", "--because", "x is wrong")
    assert answer.code == 2
    assert "cannot be made again as it was tried" in answer.err
    Path("rows.csv").write_text(rows)
    improve_up()
    answer = type_("promote", "up", "down", "--because", "x is wrong")
    assert (answer.code, "the definition" in answer.err) == (2, True)


def test_what_has_no_challenger_is_refused(chain: Path, type_: Type) -> None:
    assert "nothing to promote" in type_("promote", "up", "--because", "fine").err
    assert "no model is named" in type_("promote", "upp", "--because", "fine").err
    assert "did you mean up" in type_("promote", "upp", "--because", "fine").err
    improve_up()
    run(type_)
    spoil_up()
    run(type_)
    assert "name the manifest" in type_("promote", "--store", "store", "up", "--because", "x").err
    assert type_("pin", "up", "--because", "no").code == 0
    assert "up is pinned" in type_("promote", "up", "--because", "x").err
    assert decisions(type_)["down"]["action"] == "keep"


DAYS = """\
manifest: 1
name: days
store: ./store
datasets:
  rows: {path: rows.csv, key: [id], time: day}
validation: {scheme: time, blocks: 2w, min_train: {rows: 20, blocks: 1}}
models:
  up:
    dataset: rows
    target: {column: y, known_after: 0d}
    features: [noise]
    gate: {min_clusters: 15}
    estimator: {type: Ridge}
  down:
    dataset: rows
    target: {column: y, known_after: 0d}
    features: [noise]
    inputs: {up: {}}
    estimator: {type: Ridge}
"""


def test_by_time_a_challenger_that_could_not_be_judged_is_released_as_of_the_moment_it_was_tried(
    tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_chain(tmp_path, rows=400)
    monkeypatch.chdir(tmp_path)
    head, *rows = Path("rows.csv").read_text().splitlines()
    start = dt.date(2024, 1, 1)
    dated = [f"{row},{start + dt.timedelta(days=number // 4)}" for number, row in enumerate(rows)]
    Path("rows.csv").write_text("\n".join([head + ",day", *dated]) + "\n")
    Path("chain.yaml").write_text(DAYS)
    assert run(type_, "--as-of", "2024-03-26") == {"up": "promoted", "down": "promoted"}
    change("features: [noise]\n    gate", "features: [noise, z]\n    gate")
    assert run(type_, "--as-of", "2024-03-28")["up"] == "insufficient"
    before = status(type_)
    answer = type_("promote", "chain.yaml", "up", "down", "--because", "the shop was closed")
    assert answer.code == 0, answer.err
    after = status(type_)["nodes"]
    assert after["up"]["version"] != before["nodes"]["up"]["version"]
    assert after["up"]["trained_through"] == before["nodes"]["up"]["trained_through"]
    assert "the gate: insufficient" in after["up"]["last_attempt"]["because"]
    assert type_("audit").code == 0
    assert set(run(type_, "--as-of", "2024-03-28").values()) == {"kept"}
