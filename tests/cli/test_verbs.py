"""The main job as a stranger types it: init, validate, plan, run, and every way to look at what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Type

NODES = ["examination", "laboratory", "progression"]


def test_init_writes_a_valid_starter_and_names_the_next_commands(tmp_path: Path, type_: Type) -> None:
    folder = tmp_path / "new"
    answer = type_("init", str(folder))
    assert answer.code == 0
    assert "retrain run diabetes.yaml" in answer.out
    assert sorted(path.name for path in folder.iterdir()) == ["diabetes.csv", "diabetes.yaml", "schema.json"]
    checked = type_("validate", str(folder / "diabetes.yaml"), "--format", "json")
    assert (checked.code, checked.document["nodes"], checked.document["datasets"]) == (
        0,
        3,
        {"patients": 442},
    )


def test_init_overwrites_nothing(tmp_path: Path, type_: Type) -> None:
    (tmp_path / "diabetes.csv").write_text("mine\n")
    assert type_("init", str(tmp_path)).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["diabetes.csv"]
    assert (tmp_path / "diabetes.csv").read_text() == "mine\n"


def test_the_first_run_of_the_starter_released_every_node(in_released: Path, type_: Type) -> None:
    found = type_("status", "--format", "json").document
    assert (found["release"], found["counts"]["released"], found["untried_models"]) == (1, 3, [])
    assert all(node["version"] and node["last_attempt"]["outcome"] == "promoted" for node in found["nodes"])


def test_the_upstreams_of_the_starter_help_its_reader(in_released: Path, type_: Type) -> None:
    (story,) = type_("explain", "progression", "--format", "json").document["nodes"]
    edges = story["champion"]["document"]["edges"]
    assert {edge["column"] for edge in edges} >= {"examination", "laboratory"}
    assert all(edge["upper"] < 0 for edge in edges)


def test_the_manifest_that_is_used_is_said_on_stderr(in_released: Path, type_: Type) -> None:
    answer = type_("ls")
    assert (answer.out.split(), answer.err) == (NODES, "using diabetes.yaml\n")


def test_ls_selects_and_tells_more_with_json(in_released: Path, type_: Type) -> None:
    assert type_("ls", "--select", "+progression", "--exclude", "progression").out.split() == NODES[:2]
    (node,) = type_("ls", "--select", "laboratory", "--format", "json").document["nodes"]
    assert (node["estimator"], node["rows"], node["states"]) == (
        "GradientBoostingRegressor",
        442,
        ["released"],
    )


def test_graph_is_a_picture_that_stands_alone(in_released: Path, type_: Type) -> None:
    root = ElementTree.fromstring(type_("graph", "--as", "svg").out)
    space = "{http://www.w3.org/2000/svg}"
    chips = {one.get("aria-label") for one in root.iter(f"{space}a")}
    assert chips == {f"{node}: promoted" for node in NODES}
    used = {one.get("href", "").removeprefix("#") for one in root.iter(f"{space}use")}
    assert used <= {one.get("id") for one in root.iter(f"{space}symbol")}
    assert ElementTree.fromstring(type_("graph", "--as", "svg", "--exclude", "*").out).tag == f"{space}svg"


def test_graph_is_a_tree_or_mermaid_or_json(in_released: Path, type_: Type) -> None:
    assert "└─ progression" in type_("graph").out
    assert type_("graph", "--as", "mermaid").out.startswith("flowchart LR\n")
    assert len(type_("graph", "--format", "json").document["edges"]) == 2


def test_a_second_plan_has_nothing_to_do_and_says_why(in_released: Path, type_: Type) -> None:
    answer = type_("plan")
    assert "3 nodes, nothing changed: examination, laboratory, progression" in answer.out
    assert answer.out.endswith("3 nodes: 3 kept\n")
    assert type_("plan", "--format", "json").document["fits"] == [0, 0]


def test_plan_without_a_store_tells_everything_anew_and_writes_nothing(
    in_released: Path, tmp_path: Path, type_: Type
) -> None:
    answer = type_("plan", "--store", str(tmp_path / "none"))
    assert "nothing is released yet" in answer.out
    assert answer.out.endswith("3 nodes: 3 to retrain; 38 fits + 15 comparisons\n")
    assert not (tmp_path / "none").exists()


def test_a_forced_plan_shows_what_may_follow_below(in_released: Path, type_: Type) -> None:
    answer = type_("plan", "--force", "laboratory")
    assert "forced: --force" in answer.out
    assert "└─ progression" in answer.out
    assert "only if an upstream column changes" in answer.out
    assert "upstream: laboratory will retrain" in answer.out


def test_explain_tells_what_is_served_why_and_what_would_happen(in_released: Path, type_: Type) -> None:
    told = type_("explain", "progression").out
    for words in (
        "Ridge predicts progression of patients",
        "reads laboratory from laboratory",
        "due: new: never released",
        "judged on 442 rows",
        "limit mean_squared_error at most passed",
        "without",
        "laboratory was there for 100% of the rows",
        "nothing changed",
    ):
        assert words in told


def test_explain_needs_no_manifest_where_a_store_is_given(
    released: Path, tmp_path: Path, type_: Type
) -> None:
    told = type_("explain", "--store", str(released / "store"), "lab*")
    assert told.out.startswith("laboratory\n")
    assert "read by progression" in told.out
    assert told.err == ""


def test_explain_tells_what_inputs_were_found_to_bring_when_somebody_asked(
    own_copy: Path, type_: Type
) -> None:
    assert type_("explain", "progression", "--format", "json").document["nodes"][0]["compared"] is None
    asked = type_("run", "--backend", "serial", "--no-progress", "--compare-inputs", "progression")
    assert (asked.code, "inputs compared, as asked" in asked.out) == (0, True)
    for more in ((), ("--store", "store")):
        told = type_("explain", "progression", *more).out
        assert "inputs compared, as asked, on" in told
        (story,) = type_("explain", "progression", "--format", "json", *more).document["nodes"]
        assert {edge["column"] for edge in story["compared"]["edges"]} >= {"examination", "laboratory"}


def test_explain_without_the_data_says_how_the_store_alone_is_asked(own_copy: Path, type_: Type) -> None:
    Path("diabetes.csv").unlink()
    answer = type_("explain", "progression")
    assert answer.code == 2
    assert "diabetes.csv does not exist" in answer.err
    command = answer.err.partition("needs no data: `")[2].partition("`")[0]
    assert command.startswith("retrain explain --store ")
    assert type_(*command.split()[1:]).out.startswith("progression\n")


def test_the_manifest_of_a_named_node_is_the_first_argument_or_an_option(released: Path, type_: Type) -> None:
    manifest = str(released / "diabetes.yaml")
    first = type_("explain", manifest, "laboratory", "--as-of", "2030-01-01")
    assert first.code == 0
    assert type_("explain", "laboratory", "--manifest", manifest, "--as-of", "2030-01-01").out == first.out


def test_releases_are_listed_newest_first(own_copy: Path, type_: Type) -> None:
    type_("run", "--backend", "serial", "--force", "progression", "--no-progress")
    found = type_("releases", "--format", "json").document
    numbers = [one["release"] for one in found["releases"]]
    assert numbers == sorted(numbers, reverse=True)
    assert found["releases"][-1]["reasons"] == ["new"]
    assert type_("releases", "--limit", "1").out.splitlines()[1].startswith(str(numbers[0]))


def test_what_made_no_release_is_listed_where_it_is_asked_for(own_copy: Path, type_: Type) -> None:
    type_("pin", "progression", "--because", "audited")
    type_("unpin", "progression")
    document = type_("releases", "--all", "--format", "json").document
    assert [one["what"] for one in document["commits"]][:2] == ["unpinned", "pinned"]
    assert document["commits"][1]["because"] == "audited"
    assert document["releases"][0]["entry"] < document["commits"][1]["entry"]
    told = type_("releases", "--all").out
    assert told.index("unpinned") < told.index("because: audited") < told.index("3 promoted")
    assert "pinned" not in type_("releases").out


@pytest.mark.parametrize(
    ("typed", "meant"), [("approve", "promote"), ("sattus", "status"), ("undo", "rollback")]
)
def test_a_verb_of_another_name_is_told_ours(type_: Type, typed: str, meant: str) -> None:
    assert f"did you mean `{meant}`?" in type_(typed).err


def test_report_writes_a_page_and_prints_its_path(own_copy: Path, type_: Type) -> None:
    answer = type_("report", "-o", "page.html")
    assert answer.out == "page.html\n"
    assert "<!doctype html>" in Path("page.html").read_text()[:20]
    record = type_("report", "--format", "json").document
    assert record["counts"] == {"promoted": 3}
    assert type_("report", record["run"][:10]).code == 0


def test_predict_writes_csv_to_stdout_or_a_file_with_the_release(own_copy: Path, type_: Type) -> None:
    answer = type_("predict", "progression", "--data", "diabetes.csv")
    lines = answer.out.splitlines()
    assert (answer.code, len(lines)) == (0, 443)
    assert "release" in lines[0]
    written = type_(
        "predict", "diabetes.yaml", "progression", "--data", "patients=diabetes.csv", "-o", "p.parquet"
    )
    assert (written.code, written.out) == (0, "")
    assert pq.read_table("p.parquet").num_rows == 442


def test_the_schema_is_the_one_beside_the_starter(in_released: Path, type_: Type) -> None:
    assert json.loads(type_("schema").out) == json.loads(Path("schema.json").read_text())


def test_nothing_is_coloured_where_nobody_looks(in_released: Path, type_: Type) -> None:
    for verb in (["plan"], ["status"], ["releases"], ["explain", "laboratory"]):
        answer = type_(*verb)
        assert "\x1b" not in answer.out + answer.err
