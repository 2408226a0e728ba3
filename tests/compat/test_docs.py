"""What docs/modelretrainer.md shows is run as it stands."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest

import retraining
from retraining.compat import TrainingDataManager
from retraining.manifest import parse_manifest

PAGE = Path(__file__).parents[2] / "docs" / "modelretrainer.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the page's data, in which the document's module names are importable."""
    (tmp_path / "data").mkdir()
    lines = ["months,monthly_fee,contract,label"]
    for row in range(200):
        contract = "monthly" if row % 3 else "yearly"
        label = "leaves" if row % 3 and row % 25 < 20 else "stays"
        lines.append(f"{row % 60},{20 + row % 70}.5,{contract},{label}")
    (tmp_path / "data" / "churn.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(retraining.__file__).parent / "compat" / "top"))
    return tmp_path


def test_the_code_of_the_page_runs(
    folder: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {"__name__": "page"}
    with caplog.at_level(logging.INFO):
        for code in blocks("python"):
            exec(compile(code, PAGE.name, "exec"), names)
    assert "Retraining failed" not in caplog.text
    assert caplog.text.count("successfully retrained") == len(
        re.findall(r"\.retrain_model\(", PAGE.read_text())
    )
    assert {"churn.pkl", "svm.pkl"} == {path.name for path in (folder / "models").iterdir()}
    assert "['leaves' 'stays']" in capsys.readouterr().out
    assert "ai_retraining" in sys.modules


def test_the_manifest_of_the_page_is_the_same_model(folder: Path) -> None:
    (text,) = blocks("yaml")
    manifest = parse_manifest(text.encode(), folder / "churn.yaml")
    model = manifest.models["churn"]
    assert model.estimator.type == "RandomForestClassifier"
    assert model.estimator.parameters == {"n_estimators": 100, "max_depth": 10}
    assert model.features == TrainingDataManager.load_training_data("data/churn.csv")[0]["features"].names
