"""What is allowed and probably not meant is told by every verb that looks at the data, and stops nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Type

MANIFEST = """\
manifest: 1
name: m
store: ./s
datasets: {{d: {{path: d.csv, key: [id], time: t, types: {{{types}}}}}}}
validation: {{scheme: time, blocks: 1w, min_train: {{rows: 10, blocks: 1}}}}
models:
  a: {{dataset: d, target: {{column: y, known_after: 0d}}, features: [x], estimator: {estimator}}}
"""


def table(odd: str) -> str:
    days = [f"2024-01-{day:02}" for day in range(1, 29)]
    rows = [f"{index},{day},{index * 1.5},{odd}" for index, day in enumerate(days)]
    return "\n".join(["id,t,x,y", *rows, "99,2024-01-28,NA,5", ""])


@pytest.mark.parametrize(
    ("estimator", "types", "told"),
    [
        ("Ridge", "", ["28 of its 29 values are numbers (not 'NA')", "min_clusters asks for 8"]),
        ("Ridge", "x: category", ["min_clusters asks for 8"]),
        ("LogisticRegression", "x: category, y: category", ["min_clusters asks for 8"]),
    ],
)
def test_notes_are_told_by_validate_plan_and_run(
    tmp_path: Path,
    type_: Type,
    monkeypatch: pytest.MonkeyPatch,
    estimator: str,
    types: str,
    told: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(MANIFEST.format(estimator=estimator, types=types))
    Path("d.csv").write_text(table("3.5"))
    documents = [
        type_(verb, "--as-of", "2024-02-20", "--format", "json").document for verb in ("validate", "plan")
    ]
    for document in documents:
        assert len(document["notes"]) == len(told)
        assert all(words in note for words, note in zip(told, document["notes"], strict=True))
    for verb in (["validate"], ["plan"], ["run", "--backend", "serial"]):
        answer = type_(*verb, "--as-of", "2024-02-20")
        assert answer.code == 0
        assert (answer.out + answer.err).count("note: ") == len(told)


def test_a_target_of_one_class_is_a_note(
    tmp_path: Path, type_: Type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(MANIFEST.format(estimator="LogisticRegression", types="x: category"))
    Path("d.csv").write_text(table("ok").replace(",NA,5", ",1.5,ok"))
    notes = type_("validate", "--as-of", "2024-02-20", "--format", "json").document["notes"]
    assert notes[0].startswith("the target y of a has one class so far (ok)")
