"""Files in, a file out: every format gives the same predictions, and the types are those of training."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from retraining.errors import DataError, InputError
from retraining.operations.predict import data_files, predict
from retraining.prediction.predictor import Release
from retraining.prediction.releases import Releases
from tests.prediction.commuters import SECOND_RUN, newest_week


def write(frame: pd.DataFrame, path: Path) -> str:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True, date_format="iso", double_precision=15)
    return str(path)


def files(folder: Path, suffix: str) -> dict[str, str]:
    return {name: write(frame, folder / f"{name}{suffix}") for name, frame in newest_week(SECOND_RUN).items()}


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_every_format_gives_the_predictions_of_the_frames(
    tmp_path: Path, releases: Releases, current: Release, suffix: str
) -> None:
    expected = current.predict("late", newest_week(SECOND_RUN)).to_pandas()
    output = tmp_path / "out.parquet"
    done = predict(releases.url, "late", files(tmp_path, suffix), str(output))
    assert done.release == 2
    pd.testing.assert_frame_equal(pq.read_table(output).to_pandas(), expected, rtol=0, atol=1e-9)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_csv_of_one_row_is_read_as_the_whole_dataset_was(
    tmp_path: Path, releases: Releases, current: Release
) -> None:
    frames = newest_week(SECOND_RUN)
    expected = current.predict("delay", frames, unknown="null").to_pandas().set_index("id")
    hours = write(frames["hours"], tmp_path / "hours.csv")
    row = frames["trips"][frames["trips"]["line"] == "1"].iloc[[0]].assign(distance="")
    trips = write(row, tmp_path / "trips.csv")
    found = predict(releases.url, "delay", [f"hours={hours}", f"trips={trips}"]).prediction.table
    # an empty cell in the only row says nothing of a column's type
    assert found["node"].to_pylist() == ["delay[line=1]"]
    assert found["id"].to_pylist() == row["id"].tolist()
    assert expected.loc[row["id"].iloc[0], "node"] == "delay[line=1]"


def test_csv_output_has_the_same_rows(tmp_path: Path, releases: Releases) -> None:
    data = files(tmp_path, ".parquet")
    done = predict(releases.url, "late", data, str(tmp_path / "out.csv"))
    written = pd.read_csv(tmp_path / "out.csv")
    pd.testing.assert_frame_equal(written, done.prediction.to_pandas(), check_dtype=False)
    assert (tmp_path / "out.csv").read_text() == done.csv()
    assert done.text().startswith("late of release 2: ")
    assert "written to" in done.text()


def test_the_summary_counts_what_has_no_prediction(tmp_path: Path, releases: Releases) -> None:
    done = predict(releases.url, "late", files(tmp_path, ".csv"))
    night = int((newest_week(SECOND_RUN)["trips"]["line"] == "night").sum())
    assert done.prediction.unusable == night
    assert f"{night:,} without, since an upstream prediction is missing (delay in {night:,})" in done.text()
    assert done.to_json()["unusable"] == night
    assert done.to_json()["format"] == 1


def test_an_older_release_predicts_under_its_number(tmp_path: Path, releases: Releases) -> None:
    path = write(newest_week(SECOND_RUN)["hours"], tmp_path / "hours.parquet")
    older = predict(releases.url, "crowd", [path], release=1).prediction
    newer = predict(releases.url, "crowd", [path]).prediction
    assert {*older.table["release"].to_pylist()} == {1}
    assert not older.table["prediction"].equals(newer.table["prediction"])


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("out.xlsx", "by its suffix"),
        ("no/out.csv", "not a folder"),
        ("hours.parquet", "one of the tables to predict"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_done(
    tmp_path: Path, releases: Releases, output: str, what: str
) -> None:
    path = write(newest_week(SECOND_RUN)["hours"], tmp_path / "hours.parquet")
    before = Path(path).read_bytes()
    with pytest.raises(InputError, match=what):
        predict(releases.url, "crowd", [path], str(tmp_path / output))
    assert Path(path).read_bytes() == before


def test_a_file_that_is_no_table_is_refused(tmp_path: Path, releases: Releases) -> None:
    for name, content in [
        ("a.parquet", b"PAR1 no"),
        ("a.csv", b""),
        ("a.jsonl", b"{"),
        ("a.txt", b"site\nnorth"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="hours"):
            predict(releases.url, "crowd", [str(tmp_path / name)])
    with pytest.raises(DataError, match="does not exist"):
        predict(releases.url, "crowd", [str(tmp_path / "missing.csv")])


def test_data_is_named_once_or_bare() -> None:
    assert data_files(["hours=a.csv", "trips=b=c.csv"]) == {"hours": "a.csv", "trips": "b=c.csv"}
    assert data_files(["day=2024/a.csv"]) == {"day": "2024/a.csv"}
    assert data_files(["./day=2024/a.csv"]) == "./day=2024/a.csv"
    for wrong in (["a.csv", "b.csv"], ["a.csv", "trips=b.csv"], ["hours=a", "hours=b"], []):
        with pytest.raises(InputError):
            data_files(wrong)
