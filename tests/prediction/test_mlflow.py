"""A release on a real MLflow server: runs, registered models with aliases, and models that load without the store."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retraining.cli.entry import run_command
from retraining.release.update import Update
from retraining.store.log import open_store
from tests.prediction.commuters import SECOND_RUN, newest_week

ROOT = Path(__file__).resolve().parents[2]
SERVER = os.environ.get("RETRAINING_TEST_MLFLOW", "")
PYTHON = os.environ.get("RETRAINING_TEST_MLFLOW_PYTHON", "")
WHY = (
    "no MLflow server: `.ci/mlflow_server install /tmp/mlflow` (an environment of its own, 0.5 GB), then "
    '`eval "$(.ci/mlflow_server start /tmp/mlflow)"`; `.ci/mlflow_server stop /tmp/mlflow` ends it'
)
real = pytest.mark.skipif(not (SERVER and PYTHON), reason=WHY)

# MLflow's environment comes first, this one's packages last: neither has all.
BEGIN = "import sys; sys.path.insert(0, {root!r}); sys.path += {sites!r}\n"
EXPORT = "from retraining.cli import main; sys.argv[0] = 'retrain'; main()"
LOOK = """
import json, mlflow, pandas as pd
from retraining.prediction.exported import Exported
mlflow.set_tracking_uri(sys.argv[1])
name, frames = sys.argv[2], {k: pd.read_parquet(v) for k, v in (a.split("=") for a in sys.argv[3:])}
client = mlflow.MlflowClient()
versions = client.search_model_versions(f"name='{name}.crowd'")
champion = client.get_model_version_by_alias(f"{name}.crowd", "champion")
run = client.get_run(champion.run_id)
model = mlflow.pyfunc.load_model(f"models:/{name}.crowd@champion")
late = mlflow.pyfunc.load_model(f"models:/{name}.late@champion")
print(json.dumps({
    "versions": len(versions),
    "runs": len(client.search_runs([run.info.experiment_id])),
    "aliases": {str(k): str(v) for k, v in client.get_registered_model(f"{name}.crowd").aliases.items()},
    "tags": dict(champion.tags), "params": dict(run.data.params), "metrics": dict(run.data.metrics),
    "run_tags": dict(run.data.tags), "status": run.info.status,
    "crowd": [float(v) for v in model.predict(frames["hours"])],
    "late": [str(v) for v in late.predict(frames)],
    "proba": late.get_raw_model().predict_proba(frames).tolist(),
}))
"""


def python(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    sites = [entry for entry in sys.path if entry.rstrip("/").endswith("-packages")]
    begin = BEGIN.format(root=str(ROOT), sites=sites)
    return subprocess.run(
        [PYTHON, "-W", "ignore", "-c", begin + code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": "", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def copied(releases, tmp_path):
    """A store of its own whose manifest has a name that no other test used on this server."""
    folder = tmp_path / "store"
    shutil.copytree(releases.url.removeprefix("file://"), folder)
    store = open_store(str(folder))
    name = f"commuters-{secrets.token_hex(4)}"
    head = store.read_head()
    crowd = head.nodes["crowd"].attempt
    commit(store, {"crowd": replace(crowd, because="looked again")}, {**head.entry.manifest, "name": name})
    return folder, name


def commit(store, attempts, manifest):
    store.commit(
        Update(attempts=attempts),
        (),
        kind="state",
        run="test",
        who="test@here",
        why={},
        manifest=manifest,
        now="2024-03-08T00:00:00Z",
        start=store.read_head(),
    )


@real
def test_a_release_is_on_the_server_once_however_often_it_is_exported(copied, current, tmp_path):
    folder, name = copied
    frames = newest_week(SECOND_RUN)
    frames["trips"] = frames["trips"][frames["trips"]["line"] != "night"].reset_index(drop=True)
    for dataset, frame in frames.items():
        frame.to_parquet(tmp_path / f"{dataset}.parquet")
    data = [f"{dataset}={tmp_path / dataset}.parquet" for dataset in frames]
    arguments = ("export", "--store", str(folder), "--mlflow", SERVER, "--format", "json")
    first = python(EXPORT, *arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    assert document["release"] == 2
    assert all(one["new"] and one["alias"] == "champion" for one in document["mlflow"]["registered"])
    assert [one["name"] for one in document["mlflow"]["registered"]] == [
        f"{name}.{node}" for node in current.nodes
    ]
    again = json.loads(python(EXPORT, *arguments, cwd=tmp_path).stdout)
    assert not any(one["new"] for one in again["mlflow"]["registered"])

    shutil.rmtree(folder)  # what was logged needs nothing of the store
    looked = python(LOOK, SERVER, name, *data, cwd=tmp_path)
    assert looked.returncode == 0, looked.stderr
    seen = json.loads(looked.stdout)
    assert (seen["versions"], seen["runs"], seen["status"]) == (1, 5, "FINISHED")
    assert seen["aliases"] == {"champion": "1"}
    state = current.state("crowd")
    for tags in (seen["tags"], seen["run_tags"]):
        assert tags["retraining.node"] == "crowd"
        assert tags["retraining.version"] == state.version
        assert tags["retraining.release"] == "2"
        assert tags["retraining.run"] == state.run
    assert seen["params"]["estimator"] == "Ridge"
    verdict = json.loads(current.document("crowd"))["verdict"]["challenger"]
    assert seen["metrics"]["mean_squared_error"] == verdict["mean_squared_error"]
    np.testing.assert_allclose(seen["crowd"], current.predict("crowd", frames).outputs[:, 0], rtol=1e-9)
    late = current.predict("late", frames)
    assert seen["late"] == late.table["prediction"].to_pylist()
    np.testing.assert_allclose(seen["proba"], late.outputs, rtol=1e-9)


@real
def test_the_aliases_follow_who_serves_and_who_may(copied, releases, tmp_path):
    folder, name = copied
    store = open_store(str(folder))
    manifest = store.read_head().entry.manifest
    before, now = store.read_release(1).nodes["crowd"], store.read_head().nodes["crowd"]
    assert before.version != now.version
    challenger = replace(
        now.attempt, outcome="waiting", because="waits", version=before.version, document=before.document
    )
    commit(store, {"crowd": challenger}, manifest)

    def export(*more: str) -> dict[str, tuple[str, str]]:
        arguments = ("export", "crowd", "--store", str(folder), "--mlflow", SERVER, "--format", "json", *more)
        done = python(EXPORT, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return {one["alias"]: one["version"] for one in json.loads(done.stdout)["mlflow"]["registered"]}

    aliases = "import mlflow; print(dict(mlflow.MlflowClient(sys.argv[1]).get_registered_model(sys.argv[2]).aliases))"

    def there() -> str:
        return python(aliases, SERVER, f"{name}.crowd", cwd=tmp_path).stdout.strip().replace("'", "")

    assert export() == {"champion": "1", "challenger": "2"}
    assert there() in ("{champion: 1, challenger: 2}", "{challenger: 2, champion: 1}")
    commit(store, {"crowd": now.attempt}, manifest)  # it was rejected since
    assert export() == {"champion": "1"}
    assert set(export("--release", "1")) == {""}  # aliases stay with the newest release
    assert there() == "{champion: 1}"


def test_without_mlflow_or_a_server_it_says_what_to_do(releases, capsys, monkeypatch):
    url = releases.url.removeprefix("file://")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert run_command(["export", "--store", url, "--mlflow", "http://127.0.0.1:1"]) == 2
    assert "pip install 'retraining[mlflow]'" in capsys.readouterr().err
    assert run_command(["export", "--store", url]) == 2
    assert "write -o PATH, or --mlflow URI" in capsys.readouterr().err


def test_a_server_that_nobody_answers_at_is_told_without_its_password():
    from retraining.errors import StoreError
    from retraining.operations.mlflow_server import check_reachable, without_credentials

    assert without_credentials("https://ann:secret@host/x") == "https://host/x"
    assert without_credentials("sqlite:///a@b.db") == "sqlite:///a@b.db"
    uri = "http://ann:secret@127.0.0.1:1"
    with pytest.raises(StoreError) as caught:
        check_reachable(uri, without_credentials(uri))
    assert "secret" not in str(caught.value)
