"""docs/json.md names the fields of every document, no more and no fewer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Type

PAGE = (ROOT / "docs" / "json.md").read_text()
WORDS = re.compile(r"`([a-z_]+)`")


def told() -> Mapping[str, set[str]]:
    """The fields that the page's table gives for each verb."""
    rows = re.findall(
        r"^\| ((?:`[a-z ]+`(?:, )?)+)?(?: \(.*\))?(?:any, when it fails)? \| (.*) \|$", PAGE, re.MULTILINE
    )
    return {
        verb: set(WORDS.findall(fields))
        for verbs, fields in rows
        for verb in (re.findall(r"`([a-z ]+)`", verbs) or ["error"])
        if verb != "format"
    }


def beginnings(text: str) -> set[str]:
    return set(WORDS.findall(re.sub(r"\([^)]*\)", "", text)))


@pytest.mark.parametrize(
    "arguments",
    [
        ["init", "elsewhere"],
        ["validate"],
        ["plan"],
        ["run", "--backend", "serial"],
        ["tick", "--backend", "serial"],
        ["predict", "progression", "--data", "diabetes.csv", "-o", "out.csv"],
        ["export", "-o", "exported"],
        ["feedback add", "late.csv"],
        ["feedback list"],
        ["feedback show", "--key", "patient=1"],
        ["pin", "examination", "--because", "audited"],
        ["status"],
        ["releases"],
        ["diff", "1", "1"],
        ["rollback", "1"],
        ["explain", "progression"],
        ["drift", "--backend", "serial"],
        ["audit"],
        ["report"],
        ["ls"],
        ["graph"],
        ["verify"],
        ["gc"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_page_names_exactly_the_fields_of_a_document(
    arguments: list[str], own_copy: Path, type_: Type
) -> None:
    verb, *rest = arguments
    if verb.startswith("feedback"):
        Path("late.csv").write_text("patient,progression\n1,160\n")
        type_("feedback", "add", "late.csv")
    document = type_(*verb.split(), *rest, "--format", "json").document
    assert document.pop("format") == 1
    assert set(document) == told()[verb]


def test_the_page_names_exactly_the_fields_of_a_job_that_was_submitted() -> None:
    from retraining.cli.submit import _document

    document = _document("http://head:8265", "job", None, None)
    assert set(document) == told()["submit"]


def test_the_page_names_exactly_the_fields_of_an_error_and_of_its_problems(
    tmp_path: Path, type_: Type
) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text("manifest: 1\nname: m\n")
    error = type_("plan", str(manifest), "--format", "json").document["error"]
    assert {"error", *error} == told()["error"]
    sentence = PAGE.partition("A **problem**")[2].partition(".\n")[0]
    assert set(error["problems"][0]) == beginnings(sentence)


def test_the_page_names_exactly_the_fields_of_a_decision_and_of_a_node(own_copy: Path, type_: Type) -> None:
    decision = type_("plan", "--force", "progression", "--format", "json").document["decisions"][-1]
    sentence = PAGE.partition("A **decision** of `plan` has")[2].partition(".\n")[0]
    assert set(decision) == beginnings(sentence)
    assert set(decision["reasons"][0]) == {"kind", "text", "evidence"}
    node = type_("run", "--backend", "serial", "--format", "json").document["nodes"][0]
    assert set(node) == {"node", "outcome", "because", "error"}


def test_the_page_names_exactly_the_fields_of_a_backtest() -> None:
    from retraining.reporting.backtest_text import Backtest

    found = Backtest(
        manifest="m",
        timezone="UTC",
        begin="2024-01-01T00:00:00Z",
        end="2024-02-01T00:00:00Z",
        steps=(),
        baseline="never",
        reference="as-written",
        costs=(),
        models=(),
    )
    assert set(found.to_json()) == told()["backtest"]
