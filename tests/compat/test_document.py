"""Each example of the document, in our own words."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import pytest
from sklearn.metrics import accuracy_score

from retraining.compat import DriftMonitor, ModelRetrainer, ModelTrainer, TrainingDataManager

from .files import LABELS, fresh_python, number_rows, write_csv, write_json

FOREST = {"model": {"type": "RandomForest", "parameters": {"n_estimators": 20, "max_depth": 4}}}


def test_a_model_is_retrained_deployed_and_loaded_again(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "updated.csv", number_rows())
    target = tmp_path / "models" / "deeper" / "retrained.pkl"

    model = ModelRetrainer.retrain_model(str(data), FOREST, str(target))

    assert bool(model) is True
    assert model.predict([[2, 4, -1.0], [58, 1, -29.0]]).tolist() == [0, 1]
    assert joblib.load(target).predict([[2, 4, -1.0], [58, 1, -29.0]]).tolist() == [0, 1]


@pytest.mark.parametrize(
    "model",
    [
        {"type": "RandomForest", "parameters": {"n_estimators": 20}},
        {"type": "XGBoost", "parameters": {"max_depth": 5}},
        {"type": "LogisticRegression", "parameters": {}},
        {"type": "SVM", "parameters": {"kernel": "linear"}},
        {"type": "KNeighborsClassifier"},
    ],
    ids=lambda model: model["type"],
)
def test_every_type_learns_text_labels(model: dict[str, Any], tmp_path: Path) -> None:
    rows = number_rows(labels=LABELS)
    data = write_json(tmp_path / "rows.json", rows)

    trained = ModelRetrainer.retrain_model(data, {"model": model}, tmp_path / "model.pkl")

    predicted = trained.predict([row["features"] for row in rows])
    assert accuracy_score([row["label"] for row in rows], predicted) > 0.95
    assert list(LABELS) == trained.classes_.tolist()


def test_progress_and_success_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = write_csv(tmp_path / "rows.csv", number_rows())
    with caplog.at_level(logging.INFO):
        ModelRetrainer.retrain_model(data, FOREST, tmp_path / "model.pkl")
    assert caplog.messages == ["Starting model retraining...", "Model successfully retrained and deployed."]


def test_a_failure_is_logged_and_gives_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "updated_training.csv").write_text("a,label\n1,0\n")
    with caplog.at_level(logging.INFO):
        model = ModelRetrainer.retrain_model(tmp_path / "updated_trainin.csv", FOREST, tmp_path / "model.pkl")
    assert model is None
    record = caplog.records[-1]
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("Retraining failed: ")
    assert "did you mean updated_training.csv?" in record.getMessage()


def test_drift_triggers_retraining(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "drifted.csv", number_rows())
    monitor = DriftMonitor(threshold=0.2)
    config = {"model": {"type": "LogisticRegression", "parameters": {}}}

    assert monitor.detect_drift(0.8, 0.5)
    assert ModelRetrainer.retrain_model(data, config, tmp_path / "drift.pkl")
    assert not monitor.detect_drift(0.6, 0.5)


class ValidatingRetrainer(ModelRetrainer):
    """The document's extension: a score on held-out rows beside the model."""

    @staticmethod
    def retrain_and_validate(data: Path, config: Any, target: Path, held_out: list[dict[str, Any]]) -> Any:
        model = ModelRetrainer.retrain_model(data, config, target)
        if not model:
            return None
        predictions = model.predict([row["features"] for row in held_out])
        return {"model": model, "accuracy": accuracy_score([row["label"] for row in held_out], predictions)}


def test_a_subclass_adds_a_validation_step(tmp_path: Path) -> None:
    held_out = [{"features": [1, 2, 3], "label": 0}, {"features": [55, 0, -27], "label": 1}]
    config = {"model": {"type": "SVM", "parameters": {"kernel": "linear"}}}
    data = write_csv(tmp_path / "new.csv", number_rows())

    result = ValidatingRetrainer.retrain_and_validate(data, config, tmp_path / "v.pkl", held_out)

    assert result["accuracy"] == 1.0
    assert (
        ValidatingRetrainer.retrain_and_validate(tmp_path / "no.csv", config, tmp_path / "v.pkl", []) is None
    )


class FewRows(TrainingDataManager):
    @staticmethod
    def load_training_data(training_data_path: Any) -> list[dict[str, Any]]:
        return number_rows(int(training_data_path))


class RecordingTrainer(ModelTrainer):
    seen: list[int] = []  # noqa: RUF012 - a list shared on purpose

    def train(self, X: Any, y: Any) -> Any:
        self.seen.append(len(y))
        return super().train(X, y)


class PieceByPiece(ModelRetrainer):
    data_manager = FewRows
    trainer = RecordingTrainer


def test_a_subclass_replaces_single_steps(tmp_path: Path) -> None:
    assert PieceByPiece.retrain_model("12", FOREST, tmp_path / "model.pkl")
    assert RecordingTrainer.seen == [12]


class StoppedTrainer(ModelTrainer):
    def train(self, X: Any, y: Any) -> Any:
        raise KeyboardInterrupt


class Stopped(ModelRetrainer):
    trainer = StoppedTrainer


def test_ctrl_c_is_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Stopped.retrain_model(write_csv(tmp_path / "a.csv", number_rows()), FOREST, tmp_path / "m.pkl")


SCRIPT = """
import logging, sys
logging.basicConfig(filename="retraining.log", level=logging.INFO)
from ai_retraining import DriftMonitor, ModelRetrainer
from ai_training_model import ModelTrainer
from ai_training_data import TrainingDataManager
from ai_deployment import ModelDeployment
from ai_validation import validate_model
assert not {"ray", "sklearn", "pandas", "xgboost"} & set(sys.modules), "importing is cheap"

config = {"model": {"type": "XGBoost", "parameters": {"max_depth": 5}}}
if not ModelRetrainer.retrain_model("rows.csv", config, "model.pkl"):
    sys.exit("failed")
rows = TrainingDataManager().load_training_data("rows.csv")
model = ModelTrainer(config["model"]).train([r["features"] for r in rows], [r["label"] for r in rows])
ModelDeployment.deploy_model(model, "again.pkl")
print(validate_model(model, rows)["accuracy"], DriftMonitor().detect_drift(0.8, 0.5))
"""


def test_the_document_s_module_names_work_in_a_fresh_process(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", number_rows(labels=LABELS))
    options: dict[str, Any] = {"cwd": tmp_path, "env": fresh_python(), "capture_output": True, "text": True}

    done = subprocess.run([sys.executable, "-c", SCRIPT], check=False, **options)
    assert (done.returncode, done.stdout) == (0, "1.0 True\n"), done.stderr
    assert "Model successfully retrained and deployed." in (tmp_path / "retraining.log").read_text()

    loading = "import joblib; print(*joblib.load('model.pkl').predict([(1, 2, 3), [58, 1, -29]]))"
    loaded = subprocess.run([sys.executable, "-c", loading], check=False, **options)
    assert (loaded.returncode, loaded.stdout) == (0, "no yes\n"), loaded.stderr
    assert (tmp_path / "model.pkl").read_bytes() == (tmp_path / "again.pkl").read_bytes()
