"""Estimators and metrics of a user's own: allowed outside the manifest, judged and stored like any other."""

from __future__ import annotations

import datetime as dt
import importlib
import sys

import numpy as np
import pandas as pd
import pytest

from retraining.cli.entry import run_command
from retraining.errors import ManifestError
from retraining.learn.persistence import load
from retraining.manifest.permissions import Permissions
from retraining.operations.plan import plan
from retraining.operations.run import RunOptions, Watcher, run
from retraining.operations.validate import validate
from retraining.prediction.releases import open_store

from .own_code import SOURCE, write

pytestmark = pytest.mark.slow

MANIFEST = """\
datasets: {{d: {{path: d.parquet, key: [id]}}}}
models:
  a:
    dataset: d
    target: {target}
    features: [x, z, town]
    preprocess: {preprocess}
    estimator: {estimator}
    metrics: {metrics}
"""


LABELS = "[balanced_accuracy]\n    gate: {margin: {absolute: 0.01}}"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def rows(n: int = 240) -> pd.DataFrame:
    random = np.random.default_rng(1)
    frame = pd.DataFrame({"id": np.arange(n), "x": random.normal(size=n), "z": random.normal(size=n)})
    frame["town"] = random.choice(["A", "B", "C"], n)
    frame["y"] = 2 * frame["x"] - frame["z"] + (frame["town"] == "B") * 3 + random.normal(0, 0.1, n)
    frame.loc[::17, "z"] = np.nan
    frame["c"] = np.where(frame["y"] > 0.5, "high", "low")
    return frame


@pytest.fixture
def shop(bench, tmp_path, monkeypatch):
    """Writes the manifest and the user's module, which Python finds."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def make(estimator, target="y", metrics="[mean_squared_error]", preprocess="none", source=SOURCE):
        write(folder, text=source)
        sys.modules.pop("shopcode", None)
        importlib.invalidate_caches()
        text = MANIFEST.format(estimator=estimator, target=target, metrics=metrics, preprocess=preprocess)
        bench.write(text, d=rows())
        return bench

    yield make
    sys.modules.pop("shopcode", None)


def go(bench, *, allow=("shopcode",), joblib=False, **more):
    options = RunOptions(backend="serial", allow=allow, allow_joblib=joblib)
    return run(bench.folder / "m.yaml", store=str(bench.folder / "store"), options=options, **more)


def test_a_pipeline_of_ones_own_sees_the_features_as_they_are(shop):
    bench = shop("{type: 'shopcode:pipeline', parameters: {alpha: 0.5}}")
    assert go(bench).outcomes["a"][0] == "promoted"
    version = bench.version("a")
    data = rows()
    import shopcode

    frame = data[["x", "z", "town"]].astype({"town": "category"})
    oracle = shopcode.pipeline(alpha=0.5).fit(frame, data["y"]).predict(frame)
    release = open_store(str(bench.folder / "store")).current()
    np.testing.assert_allclose(release.predict("a", data).outputs[:, 0], oracle, rtol=1e-9)
    assert version.document["fits"]["-"]["model"]["format"] == "retraining-model-1"


def test_a_release_of_scikit_learns_parts_alone_predicts_without_the_code(shop, monkeypatch):
    bench = shop("{type: 'shopcode:classes'}", target="c", metrics="[log_loss]", preprocess="auto")
    assert go(bench).outcomes["a"][0] == "promoted"
    sys.modules.pop("shopcode")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not entry.endswith("code")])
    answer = open_store(str(bench.folder / "store")).current().predict("a", rows())
    assert set(answer.table["prediction"].to_pylist()) == {"high", "low"}
    assert "shopcode" not in sys.modules


def test_what_was_not_allowed_is_refused_by_plan_validate_and_run_and_never_imported(shop):
    bench = shop("{type: 'shopcode:pipeline'}")
    sys.modules.pop("shopcode", None)
    manifest = bench.folder / "m.yaml"
    for refused in (
        lambda: go(bench, allow=()),
        lambda: plan(manifest, store=str(bench.folder / "store")),
        lambda: validate(manifest, {}, None, NOW, Permissions(packages=("shop", "shopcod"))),
    ):
        with pytest.raises(ManifestError, match="is not allowed") as caught:
            refused()
        assert "RETRAINING_ALLOW=shopcode" in str(caught.value)
        assert caught.value.problems[0].path == "models.a.estimator.type"
    assert "shopcode" not in sys.modules


def test_planning_imports_nothing(shop):
    bench = shop("{type: 'shopcode:pipeline'}")
    found = plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), allow=("shopcode",))
    assert [decision.node for decision in found.active] == ["a"]
    assert "shopcode" not in sys.modules


@pytest.mark.parametrize(
    ("estimator", "options", "text"),
    [
        ("'shopcode:gone'", {}, "there is no such name"),
        ("'shopcode:number'", {}, "it is a int"),
        ("'shopcode:nothing'", {}, "no fit and no predict"),
        ("'shopcode:system'", {}, "it is defined in posix"),
        ("'shopcode:os.system'", {}, "shopcode:os.system is no callable"),
        ("'shopcode:Ridge'", {}, "it is defined in sklearn.linear_model"),
        ("{type: 'shopcode:pipeline', parameters: {beta: 1}}", {}, "refuses its parameters"),
        ("'shopcode:judge'", {"target": "c", "metrics": "[log_loss]"}, "has no predict_proba"),
        ("'shopcode:pipeline'", {"target": "c", "metrics": "[log_loss]"}, "has no predict_proba"),
        (
            "{type: 'shopcode:pipeline', task: classification}",
            {"target": "c", "metrics": LABELS},
            "does regression",
        ),
        ("'shopcode:classes'", {"target": "y"}, "does classification"),
    ],
)
def test_what_is_no_estimator_is_told_at_its_line_before_anything_is_paid_for(shop, estimator, options, text):
    bench = shop(estimator, **options)
    with pytest.raises(ManifestError) as caught:
        validate(bench.folder / "m.yaml", {}, None, NOW, Permissions(packages=("shopcode",)))
    assert text in str(caught.value)
    assert caught.value.problems[0].line > 1
    outcome = go(bench)
    assert outcome.outcomes["a"][0] == "failed"
    assert outcome.exit_code == 1


def test_a_module_that_cannot_be_found_or_imported_is_told(shop):
    allowed = Permissions(packages=("shopcode", "nowhere_at_all"))
    bench = shop("'nowhere_at_all.deep:build'")
    with pytest.raises(ManifestError, match=r"there is no module nowhere_at_all\.deep"):
        validate(bench.folder / "m.yaml", {}, None, NOW, allowed)
    bench = shop("'shopcode:pipeline'", source="import missing_library\n")
    with pytest.raises(ManifestError, match="cannot be imported: ModuleNotFoundError"):
        validate(bench.folder / "m.yaml", {}, None, NOW, allowed)


def test_its_code_its_parameters_and_its_version_make_it_due_and_its_comments_do_not(shop):
    go(shop("{type: 'shopcode:pipeline'}"))

    def reasons(estimator="{type: 'shopcode:pipeline'}", source=SOURCE):
        bench = shop(estimator, source=source)
        decisions = plan(bench.folder / "m.yaml", store=str(bench.folder / "store"), allow=("shopcode",))
        return [reason.text for decision in decisions.active for reason in decision.reasons]

    assert reasons() == []
    assert reasons(source=SOURCE + "\n\n# only a comment\n") == []
    assert reasons(source=SOURCE.replace("median", "mean")) == ["source changed"]
    assert reasons("{type: 'shopcode:pipeline', parameters: {alpha: 2}}") == ["parameters changed"]
    assert reasons("{type: 'shopcode:pipeline', version: 2}") == ["version changed"]


def test_a_class_of_ones_own_is_stored_safely_and_needs_permission_to_be_read(shop):
    bench = shop("'shopcode:clipped'", preprocess="auto")
    assert go(bench).outcomes["a"][0] == "promoted"
    store = str(bench.folder / "store")
    with pytest.raises(Exception, match=r"holds shopcode\.Clip, which is not on the list") as caught:
        open_store(store).current().predict("a", rows())
    assert "--allow shopcode" in str(caught.value)
    answer = open_store(store, allow=("shopcode",)).current().predict("a", rows())
    assert answer.predicted == 240


def test_what_nothing_safe_can_hold_needs_joblib_which_needs_permission(shop):
    bench = shop("'shopcode:Stubborn'", preprocess="auto")
    outcome = go(bench)
    assert outcome.outcomes["a"][0] == "failed"
    bench = shop("'shopcode:Mean'", preprocess="auto")
    assert go(bench).outcomes["a"][0] == "promoted"


def test_joblib_is_used_where_it_was_allowed_and_only_read_where_it_is_allowed(shop, monkeypatch, capsys):
    source = (
        SOURCE
        + "\n\nimport fractions\n\n\nclass Odd(Mean):\n"
        + (
            "    def fit(self, X, y, sample_weight=None):\n"
            "        self.share_ = fractions.Fraction(1, 3)\n"
            "        return super().fit(X, y, sample_weight)\n"
        )
    )
    bench = shop("'shopcode:Odd'", preprocess="auto", source=source)
    outcome = go(bench)
    assert outcome.outcomes["a"][0] == "failed"
    assert "fractions.Fraction" in outcome.outcomes["a"][1]
    bench = shop("{type: 'shopcode:Odd', version: 2}", preprocess="auto", source=source)
    assert go(bench, joblib=True).outcomes["a"][0] == "promoted"
    pointer = bench.version("a").document["fits"]["-"]["model"]
    assert pointer["format"] == "retraining-model-1-joblib"
    store = str(bench.folder / "store")
    assert run_command(["explain", "a", "--store", store]) == 0
    assert "stored by joblib" in capsys.readouterr().out
    with pytest.raises(Exception, match="stored by joblib") as caught:
        open_store(store, allow=("shopcode",)).current().predict("a", rows())
    assert "RETRAINING_ALLOW_JOBLIB=1" in str(caught.value)
    monkeypatch.setenv("RETRAINING_ALLOW_JOBLIB", "1")
    assert open_store(store, allow=("shopcode",)).current().predict("a", rows()).predicted == 240


def test_an_estimator_that_does_not_repeat_itself_fails_by_name(shop):
    outcome = go(shop("'shopcode:Moody'", preprocess="auto"))
    assert outcome.outcomes["a"][0] == "failed"
    assert "is not deterministic" in outcome.outcomes["a"][1]


def test_weights_reach_the_last_step_of_a_pipeline(shop):
    bench = shop("'shopcode:pipeline'")
    text = (bench.folder / "m.yaml").read_text()
    (bench.folder / "m.yaml").write_text(text + "    weight: x2\n")
    data = rows().assign(x2=lambda d: d["x"] ** 2)
    data.to_parquet(bench.folder / "d.parquet", index=False)
    assert go(bench).outcomes["a"][0] == "promoted"
    import shopcode

    frame = data[["x", "z", "town"]].astype({"town": "category"})
    oracle = shopcode.pipeline().fit(frame, data["y"], model__sample_weight=data["x2"]).predict(frame)
    release = open_store(str(bench.folder / "store")).current()
    np.testing.assert_allclose(release.predict("a", data).outputs[:, 0], oracle, rtol=1e-9)


def test_a_metric_of_ones_own_decides_and_is_recorded(shop):
    metric = "{type: 'shopcode:cost', better: lower, needs: value}"
    bench = shop("Ridge", metrics=f"[{metric}, r2]", preprocess="auto")
    assert go(bench).outcomes["a"][0] == "promoted"
    challenger = bench.version("a").verdict["challenger"]
    import shopcode

    assert set(challenger) == {"shopcode:cost", "r2"}
    oof = bench.version("a").folds()[:, 0]
    from oracle.workbench import folds_by_key

    data = rows()
    order = np.argsort(folds_by_key(data["id"].to_numpy(), 5), kind="stable")
    assert challenger["shopcode:cost"] == pytest.approx(shopcode.cost(data["y"].to_numpy()[order], oof))
    bench = shop("{type: Ridge, parameters: {alpha: 100}}", metrics=f"[{metric}, r2]", preprocess="auto")
    assert go(bench).outcomes["a"][0] == "rejected"
    verdict = bench.version("a", attempt=True).verdict
    assert verdict["difference"]["metric"] == "shopcode:cost"
    assert verdict["difference"]["lower"] > 0


def test_a_metric_of_ones_own_gets_labels_as_the_data_has_them(shop):
    metric = "{type: 'shopcode:share_right', better: higher, needs: labels}"
    bench = shop(
        "LogisticRegression", target="c", metrics=f"[log_loss, {metric}, accuracy]", preprocess="auto"
    )
    assert go(bench).outcomes["a"][0] == "promoted"
    challenger = bench.version("a").verdict["challenger"]
    assert challenger["shopcode:share_right"] == pytest.approx(challenger["accuracy"])


def test_a_metric_that_fails_fails_its_node_alone(shop):
    metric = "{type: 'shopcode:share_right', better: higher, needs: labels}"
    bench = shop("LogisticRegression", target="c", metrics=f"[log_loss, {metric}]", preprocess="auto")
    text = (bench.folder / "m.yaml").read_text()
    (bench.folder / "m.yaml").write_text(text + "    weight: w\n")
    rows().assign(w=1.5).to_parquet(bench.folder / "d.parquet", index=False)
    outcome = go(bench)
    assert outcome.outcomes["a"][0] == "failed"
    assert "the metric shopcode:share_right failed: TypeError" in outcome.outcomes["a"][1]


@pytest.mark.ray
def test_ray_workers_import_what_the_driver_would(shop):
    bench = shop("{type: 'shopcode:clipped'}", preprocess="auto")
    serial = go(bench)
    options = RunOptions(backend="ray", workers=1, allow=("shopcode",))
    ray = run(bench.folder / "m.yaml", store=str(bench.folder / "other"), options=options)
    assert ray.outcomes == serial.outcomes
    assert ray.after.logical() == serial.after.logical()


def test_loading_a_model_of_ones_own_in_python(shop):
    bench = shop("'shopcode:clipped'", preprocess="auto")
    go(bench)
    from retraining.release.values import BlobPointer
    from retraining.store.packs import read_blob

    version = bench.version("a")
    data = read_blob(version.store.objects, BlobPointer.from_json(version.document["fits"]["-"]["model"]))
    assert load(data, Permissions(packages=("shopcode",))).spec.type == "shopcode:clipped"


def test_a_champion_whose_code_is_gone_is_compared_by_its_stored_models(shop):
    go(shop("{type: 'shopcode:pipeline'}"))
    bench = shop("{type: 'shopcode:pipeline'}", source=SOURCE.replace("alpha=1.0", "alpha=90.0"))
    rows(300).to_parquet(bench.folder / "d.parquet", index=False)
    word, because = go(bench).outcomes["a"]
    assert word == "rejected"
    assert "a changed recipe must be better than the champion" in because
    verdict = bench.version("a", attempt=True).verdict
    assert verdict["champion"]["mean_squared_error"] < verdict["challenger"]["mean_squared_error"]


def test_a_fit_is_never_made_by_other_code_than_its_recipe_names(shop):
    bench = shop("{type: 'shopcode:pipeline'}")

    def edited(session):
        write(bench.folder / "code", text=SOURCE.replace("alpha=1.0", "alpha=9.0"))

    outcome = go(bench, watcher=Watcher(planned=edited))
    assert outcome.outcomes["a"][0] == "failed"
    assert "its code is not the one that this version was made by" in outcome.outcomes["a"][1]
