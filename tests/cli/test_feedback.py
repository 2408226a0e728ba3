"""`retrain feedback`: what is said of good and of bad files; two runs after it: one acts, one has nothing to do."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Type


def write(text: str, name: str = "late.csv") -> str:
    Path(name).write_text(text)
    return name


def test_added_labels_are_told_listed_shown_and_learnt_once(own_copy: Path, type_: Type) -> None:
    late = write("patient,progression\n1,160\n2,\n3,141\n9999,100\n".replace("2,\n", ""))
    answer = type_("feedback", "add", late, "--known-at", "2024-05-01", "--source", "clinic")
    assert (answer.code, answer.out) == (
        0,
        "batch 1 of late labels: 2 rows of patients\n"
        "          1  brought a label\n"
        "          1  replaced one\n"
        "  1 row says what is known already, and left out\n"
        "  1 key of them is in no row of patients yet: they count when it is there\n",
    )
    again = type_("feedback", "add", late, "--known-at", "2024-05-01", "--source", "clinic")
    assert "batch 1 holds these 3 labels of patients already: nothing was stored" in again.out
    nothing = type_("feedback", "add", write("patient,progression\n1,160\n"))
    assert nothing.out == "nothing new for patients: 1 row says what is known already\n"
    assert (
        "  1  patients: 2 rows of progression\n     known 2024-05-01 00:00 UTC; added"
        in type_("feedback", "list").out
    )
    type_("feedback", "add", write("patient,op\n" + "".join(f"{n},retract\n" for n in range(1, 81))))
    told = type_("feedback", "show", "--key", "patient=1").out
    assert "revision 1, batch 1: progression 160 (was 151)\n   known 2024-05-01" in told
    assert " * revision 2, batch 2: progression none (was 160)" in told
    assert "data: 5 new or changed folds" in type_("plan").out
    assert type_("run", "--backend", "serial", "--format", "json").document["fits"]["made"] > 0
    record = type_("report", "--format", "json").document
    assert record["feedback_through"] == 2
    assert type_("run", "--backend", "serial", "--format", "json").document["fits"]["made"] == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("patient,progresion\n1,2\n", "progresion is no label of patients"),
        ("patient,bmi,progression\n1,2,3\n", "bmi is no label of patients"),
        ("progression\n2\n", "it has no column patient, which is of the key of patients"),
        ("patient\n2\n", "it has no label: none of progression is among its columns"),
        ("patient,progression\n1,high\n", "high"),
        ("patient,progression\n1.5,3\n", "1.5"),
        ("patient,progression\n1,3\n2,4\n1,5\n", "rows 1 and 3 have the same key (patient=1)"),
        ("patient,progression\n1,3\n,4\n", "row 2: the key column patient is empty"),
        ("patient,progression\n1,3\n2,\n", "row 2: it has no label"),
        ("patient,progression\n1,inf\n", "row 1: the label progression is infinite"),
        ("patient,progression,op\n1,3,delete\n", "row 1: op is 'delete'"),
        ("patient,progression,revision\n1,3,0\n", "row 1: the revision is 0"),
        ("patient,progression,known_at\n1,3,soon\n", "'soon' is not an ISO 8601 moment"),
        ("patient,progression\n", "there are no rows in it"),
        ("", "late.csv"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_stored(
    text: str, said: str, in_released: Path, type_: Type, tmp_path: Path
) -> None:
    (tmp_path / "late.csv").write_text(text)
    store = tmp_path / "store"
    answer = type_("feedback", "add", str(tmp_path / "late.csv"), "--store", str(store))
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert "next: " in answer.err
    assert "Traceback" not in answer.err
    assert not store.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add"], "no file was named"),
        (["add", "a.csv", "b.csv"], "2 files were named"),
        (["add", "none.csv"], "none.csv: there is no such file"),
        (["add", "diabetes.csv", "--dataset", "patient"], "did you mean patients?"),
        (["add", "diabetes.csv", "--known-at", "soon"], "--known-at 'soon' is not an ISO 8601 moment"),
        (["list", "--dataset", "d"], "no late labels of a dataset 'd'"),
        (["show"], "late labels of 0 datasets"),
        (["show", "--key", "patient"], "--key 'patient' is not COLUMN=VALUE"),
        (["lst"], "lst"),
        ([], "add|list|show"),
    ],
)
def test_a_command_that_cannot_be_meant_says_what_would_help(
    arguments: list[str], said: str, in_released: Path, type_: Type
) -> None:
    answer = type_("feedback", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_a_revision_that_said_something_else_is_an_error_that_names_the_row(
    own_copy: Path, type_: Type
) -> None:
    type_("feedback", "add", write("patient,progression,revision\n1,160,1\n"))
    answer = type_("feedback", "add", write("patient,progression,revision\n2,1,1\n1,170,1\n"))
    assert answer.code == 2
    assert (
        "late.csv, row 2 (patient=1): revision 1 of progression is in batch 1 already and says 160"
        in answer.err
    )


def test_labels_in_memory_and_of_every_format_are_the_same(own_copy: Path, type_: Type) -> None:
    import retraining

    frame = pd.DataFrame({"patient": [1, 2], "progression": [160.0, 80.0], "known_at": ["2024-05-01"] * 2})
    frame.to_parquet("late.parquet", index=False)
    frame.to_json("late.jsonl", orient="records", lines=True)
    frame.to_csv("late.csv", index=False)
    done = retraining.add_feedback("diabetes.yaml", frame)
    assert (done.batch, done.corrected, done.existing) == (1, 2, False)
    for name in ("late.parquet", "late.jsonl", "late.csv"):
        document = type_("feedback", "add", name, "--format", "json").document
        assert (document["batch"], document["existing"]) == (1, True)


def test_a_file_that_is_there_already_says_of_how_many_of_its_labels_later_ones_count(
    own_copy: Path, type_: Type
) -> None:
    Path("late.csv").write_text("patient,progression\n1,160\n2,80\n")
    Path("away.csv").write_text("patient,op\n1,retract\n")
    type_("feedback", "add", "late.csv")
    assert type_("feedback", "add", "late.csv", "--format", "json").document["outdated"] == 0
    type_("feedback", "add", "away.csv")
    assert type_("feedback", "add", "late.csv", "--format", "json").document["outdated"] == 1
    told = " ".join(type_("feedback", "add", "late.csv").out.split())
    assert "a later batch says something else of 1 of them, and that counts to say the same once more" in told
    again = type_("feedback", "add", "late.csv", "--source", "the clinic", "--format", "json").document
    assert (again["batch"], again["came"], again["unchanged"]) == (3, 1, 1)
