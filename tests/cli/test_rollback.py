"""`rollback` makes a release that serves an old map again, and no run undoes it; `diff` and `releases` tell it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.chain import decisions, improve_down, improve_up, run, status, versions
from tests.cli.conftest import Type

pytestmark = pytest.mark.slow


def predicted(type_: Type) -> str:
    assert type_("predict", "down", "--data", "rows.csv", "-o", "out.csv").code == 0
    return Path("out.csv").read_text()


def test_a_rollback_serves_the_old_release_again_and_the_next_run_does_not_undo_it(
    chain: Path, type_: Type
) -> None:
    first, answers = versions(type_), predicted(type_)
    improve_up()
    assert set(run(type_).values()) == {"promoted"}
    second = versions(type_)
    assert second != first
    answer = type_("rollback", "--because", "refunds doubled")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("release 3 goes back to release 1")
    assert versions(type_) == first
    assert predicted(type_).replace(",3\n", ",1\n") == answers
    assert set(run(type_).values()) == {"kept"}
    assert versions(type_) == first
    planned = decisions(type_)
    for name, node in status(type_)["nodes"].items():
        assert node["pin"]["because"] == "rollback to release 1: refunds doubled"
        assert node["pin"]["because"] in planned[name]["note"]
    assert type_("unpin", "state:pinned").code == 0
    assert set(run(type_).values()) == {"promoted"}
    assert versions(type_) == second


def test_history_is_never_rewritten_and_says_who_when_why_and_what(chain: Path, type_: Type) -> None:
    log = {path.name: path.read_bytes() for path in Path("store/log").glob("*.json")}
    improve_up()
    run(type_)
    log |= {path.name: path.read_bytes() for path in Path("store/log").glob("*.json")}
    assert type_("rollback", "1", "--because", "refunds doubled").code == 0
    assert {name: Path("store/log", name).read_bytes() for name in log} == log
    back, second, first = type_("releases", "--format", "json").document["releases"]
    assert (back["kind"], back["restored"], back["because"]) == ("rollback", 1, "refunds doubled")
    assert back["nodes"] == second["nodes"] == first["nodes"] == ["down", "up"]
    assert "@" in back["who"]
    assert (second["kind"], second["because"], second["reasons"]) == (
        "release",
        None,
        ["definition", "upstream"],
    )
    told = type_("releases").out
    assert "back to release 1" in told
    assert "because: refunds doubled" in told


def test_a_diff_names_what_differs_and_by_how_much(chain: Path, type_: Type) -> None:
    old = versions(type_)
    improve_up("x, z")
    run(type_)
    new = versions(type_)
    found = type_("diff", "1", "2", "--format", "json").document
    assert found["counts"] == {"added": 0, "removed": 0, "changed": 2, "same": 0}
    nodes = {node["node"]: node for node in found["nodes"]}
    assert nodes["up"]["version"] == [old["up"], new["up"]]
    assert nodes["up"]["recipe"] == {"features": [["noise"], ["x", "z"]]}
    assert nodes["down"]["recipe"] == {}
    assert nodes["down"]["upstreams"] == {"up": [old["up"], new["up"]]}
    before, after = nodes["up"]["metrics"]["mean_squared_error"]
    assert after < before / 10
    assert "features: noise -> x, z" in type_("diff").out
    assert (found["equal"], found["logically_equal"]) == (False, False)
    assert type_("rollback", "1").code == 0
    same = type_("diff", "1", "3", "--format", "json").document
    assert (same["equal"], same["logically_equal"], same["nodes"]) == (True, False, [])
    itself = type_("diff", "2", "2", "--format", "json").document
    assert (itself["equal"], itself["logically_equal"]) == (True, True)


def test_a_node_that_the_old_release_did_not_have_is_taken_out_of_service_and_stays_out(
    chain: Path, type_: Type
) -> None:
    text = Path("chain.yaml").read_text()
    Path("chain.yaml").write_text(
        text
        + "  extra: {dataset: rows, target: y, features: [z], inputs: {down: {}}, estimator: {type: Ridge}}\n"
    )
    assert run(type_)["extra"] == "promoted"
    assert type_("diff", "--format", "json").document["counts"]["added"] == 1
    answer = type_("rollback", "--format", "json").document
    assert (answer["removed"], answer["restored"]) == (["extra"], [])
    assert versions(type_)["extra"] is None
    assert type_("diff", "1", "3", "--format", "json").document["equal"]
    assert "no released version" in type_("predict", "extra", "--data", "rows.csv", "-o", "e.csv").err
    assert run(type_)["extra"] == "kept"
    assert type_("unpin", "extra").code == 0
    assert run(type_)["extra"] == "promoted"


def test_a_part_goes_back_where_it_fits_and_is_refused_with_what_must_go_along(
    chain: Path, type_: Type
) -> None:
    first = versions(type_)
    improve_up()
    run(type_)
    second = versions(type_)
    answer = type_("rollback", "1", "--select", "up")
    assert answer.code == 2
    assert "down would be served with up" in answer.err
    assert "roll these back too: down" in answer.err
    assert versions(type_) == second
    improve_down()
    assert run(type_) == {"up": "kept", "down": "promoted"}
    assert type_("rollback", "2", "--select", "down").code == 0
    assert versions(type_) == second
    assert type_("rollback", "1", "--select", "up+").code == 0
    assert versions(type_) == first


@pytest.mark.parametrize("kind", ["gone", "damaged"])
def test_a_release_whose_model_is_lost_is_not_restored(kind: str, chain: Path, type_: Type) -> None:
    old = {path for path in Path("store/packs").rglob("*") if path.is_file()}
    improve_up()
    run(type_)
    before = versions(type_)
    for path in old:
        if kind == "gone":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[::-1])
    answer = type_("rollback")
    assert answer.code == 3
    assert "release 1 cannot be restored" in answer.err
    assert "nothing was changed" in answer.err
    assert versions(type_) == before
    assert type_("releases", "--format", "json").document["total"] == 2


def test_a_release_that_gc_no_longer_keeps_is_not_restored(chain: Path, type_: Type) -> None:
    improve_up()
    run(type_)
    before = versions(type_)
    cleaned = type_("gc", "--keep-releases", "1", "--older-than", "0", "--grace", "0", "--yes")
    assert cleaned.code == 0, cleaned.err
    answer = type_("rollback")
    assert answer.code == 2
    assert "no longer kept" in answer.err
    assert versions(type_) == before


def test_what_cannot_be_rolled_back_is_said(chain: Path, type_: Type) -> None:
    assert "the first" in type_("rollback").err
    assert "the first" in type_("diff").err
    assert "no release 9" in type_("rollback", "9").err
    assert "no release 9" in type_("diff", "1", "9").err
    for verb in ("diff 1 9", "rollback 9", "audit --release 9", "export --release 9 -o e"):
        assert type_(*verb.split()).code == 2, verb
    assert type_("predict", "down", "--data", "rows.csv", "--release", "9", "-o", "e.csv").code == 2
    assert "is not the number of a release" in type_("rollback", "one").err
    assert "is not the number of a release" in type_("diff", "0").err
    assert type_("diff", "1", "2", "3").code == 2
    answer = type_("rollback", "1")
    assert (answer.code, "is served now" in answer.out) == (0, True)
    assert type_("releases", "--format", "json").document["total"] == 1
