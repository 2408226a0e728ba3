"""A deployed file is the old model or the new one, never a part."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import pytest

from retraining.compat import ModelDeployment, ModelRetrainer
from retraining.errors import InputError

from .files import fresh_python, number_rows, write_csv

CONFIG = {"model": {"type": "GaussianNB"}}


class Exploding:
    """Pickles a good deal before it fails."""

    def __reduce__(self) -> Any:
        return list, (), None, self._items()

    def _items(self) -> Any:
        yield from range(200_000)
        raise RuntimeError("disk of the mind is full")


def test_any_object_is_deployed_where_joblib_and_the_folder_find_it(tmp_path: Path) -> None:
    path = ModelDeployment.deploy_model({"any": "model"}, tmp_path / "new" / "m.pkl")
    assert joblib.load(path) == {"any": "model"}
    assert os.listdir(tmp_path / "new") == ["m.pkl"]


def test_a_failing_dump_keeps_the_previous_file_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(b"the previous model")
    for model, message in ((Exploding(), "disk of the mind is full"), (lambda: 0, "cannot be pickled")):
        with pytest.raises(InputError, match=message):
            ModelDeployment.deploy_model(model, path)
        assert path.read_bytes() == b"the previous model"
        assert os.listdir(tmp_path) == ["m.pkl"]


KILLED = """
import os, signal
from retraining.compat import ModelDeployment

class Killer:
    def __reduce__(self):
        def items():
            yield from range(200_000)
            os.kill(os.getpid(), signal.SIGKILL)
        return list, (), None, items()

ModelDeployment.deploy_model(Killer(), "m.pkl")
"""


def test_a_kill_in_mid_write_keeps_the_previous_file(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"the previous model")
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=fresh_python(), check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "m.pkl").read_bytes() == b"the previous model"


@pytest.mark.parametrize(
    "content",
    ["x,label\n1,0\n2,\n", "x,label\n1,0\n2,0\n", "x,label\n1,0.5\n2,1\n"],
    ids=["gap", "one class", "amount"],
)
def test_failing_training_keeps_the_previous_file(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rows.csv").write_text(content)
    path = tmp_path / "m.pkl"
    path.write_bytes(b"the previous model")
    assert ModelRetrainer.retrain_model(tmp_path / "rows.csv", CONFIG, path) is None
    assert path.read_bytes() == b"the previous model"
    assert "Retraining failed: " in caplog.text


def test_a_path_in_the_working_folder_needs_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "rows.csv", number_rows())
    assert ModelRetrainer.retrain_model("rows.csv", CONFIG, "model.pkl")
    assert joblib.load("model.pkl").predict([[1, 2, 3]]).tolist() == [0]


def test_a_link_stays_and_its_target_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "v1.pkl").write_bytes(b"old")
    (tmp_path / "v1.pkl").chmod(0o640)
    (tmp_path / "current.pkl").symlink_to("v1.pkl")
    ModelDeployment.deploy_model([1], tmp_path / "current.pkl")
    assert (tmp_path / "current.pkl").is_symlink()
    assert joblib.load(tmp_path / "v1.pkl") == [1]
    assert (tmp_path / "v1.pkl").stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_mode_that_open_gives(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    path = ModelDeployment.deploy_model([1], tmp_path / "m.pkl")
    assert (tmp_path / "plain").stat().st_mode == path.stat().st_mode


def test_paths_that_cannot_be_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, message in (
        (tmp_path, "is a folder"),
        (f"{tmp_path}/new/", "is a folder"),
        (tmp_path / "file" / "m.pkl", "cannot be written"),
        ("s3://bucket/m.pkl", "is a URL"),
        ("", "expected a file's path"),
        (None, "expected a file's path"),
    ):
        with pytest.raises(InputError, match=message):
            ModelDeployment.deploy_model([1], path)


BAD_CALLS = [
    ("rows.csv", None, "m.pkl", "the configuration is None"),
    ("rows.csv", {}, "m.pkl", "has no 'model', found nothing"),
    ("rows.csv", {"type": "SVM"}, "m.pkl", "has no 'model', found 'type'"),
    ("rows.csv", {"model": {"type": "Nothing"}}, "m.pkl", "'Nothing' is not known"),
    (None, CONFIG, "m.pkl", "the path of the training data is None"),
    (b"rows.csv", CONFIG, "m.pkl", "the path of the training data is b'rows.csv'"),
    ("rows.csv", CONFIG, ".", "is a folder"),
    ("rows.csv", CONFIG, 3, "the deployment path is 3"),
]


@pytest.mark.parametrize(("data", "config", "target", "message"), BAD_CALLS)
def test_a_bad_argument_is_logged_on_one_line_and_gives_none(
    data: Any, config: Any, target: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "rows.csv", number_rows())
    with caplog.at_level(logging.INFO):
        assert ModelRetrainer.retrain_model(data, config, target) is None
    logged = caplog.records[-1].getMessage()
    assert logged.startswith("Retraining failed: ")
    assert message in logged
    assert "\n" not in logged
    assert os.listdir(tmp_path) == ["rows.csv"]
