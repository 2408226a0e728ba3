"""Good manifests are read to the values that they write, with every default filled in."""

from __future__ import annotations

import datetime as dt
import hashlib
import pickle
from pathlib import Path

import pytest

from retraining.manifest import load_manifest, locate, parse_manifest
from retraining.manifest.values import (
    DataCondition,
    DefinitionCondition,
    Estimator,
    FoldScheme,
    GateRules,
    Input,
    Limit,
    Margin,
    Partitions,
    Rule,
    Target,
    TimeScheme,
    UpstreamCondition,
)

GOOD = Path(__file__).parent / "good"
TIME_DEFAULT = Rule(conditions=(DefinitionCondition(), UpstreamCondition(), DataCondition(blocks=1)))
FOLD_DEFAULT = Rule(conditions=(DefinitionCondition(), UpstreamCondition(), DataCondition(share=0.1)))


@pytest.fixture
def read(catalog):
    def reading(name):
        file = GOOD / f"{name}.yaml"
        return parse_manifest(file.read_bytes(), file, catalog)

    return reading


def test_the_top_of_the_file(read):
    flights = read("flights")
    assert (flights.name, flights.store) == ("flights", "./store")
    assert (flights.timezone, flights.seed) == ("America/New_York", 7)
    assert flights.digest == f"sha256:{hashlib.sha256((GOOD / 'flights.yaml').read_bytes()).hexdigest()}"
    assert flights.directory == GOOD
    scheme = TimeScheme(block_days=14, holdout=2, embargo=dt.timedelta(hours=12), min_rows=200, min_blocks=3)
    assert flights.schemes == {"hours": scheme, "flights": scheme}


def test_the_defaults_of_a_minimal_manifest(read):
    minimal = read("minimal")
    assert (minimal.store, minimal.timezone, minimal.seed) == (None, "UTC", 0)
    assert minimal.schemes == {"rows": FoldScheme(folds=5)}
    model = minimal.models["price"]
    assert model.target == Target(column="price")
    assert model.metrics == ("mean_squared_error",)
    assert model.retrain_when == FOLD_DEFAULT
    assert model.gate == GateRules()
    assert model.partitions == Partitions()
    assert (model.preprocess, model.ship, model.owner, model.tags, model.inputs) == (
        "auto",
        "refit",
        "",
        (),
        (),
    )
    assert minimal.datasets["rows"].missing == ("",)


def test_edges_keep_their_order_and_settings(read):
    models = read("flights").models
    assert models["departure_delay"].inputs == (
        Input(
            upstream="congestion",
            column="congestion",
            match=(("origin", "origin"), ("hour", "sched_hour")),
            missing="nan",
            coverage=0.9,
        ),
    )
    named = [(edge.upstream, edge.column) for edge in models["arrival_delay"].inputs]
    assert named == [("departure_delay", "departure_delay"), ("congestion", "hour_delay")]
    assert read("customers").models["complaint"].inputs[0].match == (("account", "account"),)


def test_a_limit_on_a_metric_that_is_not_listed_is_measured_too(catalog):
    text = """
manifest: 1
name: t
datasets: {d: {path: d.csv, key: [id]}}
models:
  a: {dataset: d, target: y, features: [x], estimator: Ridge, gate: {limits: {r2: {min: 0}}}}
"""
    model = parse_manifest(text.encode(), Path("m.yaml"), catalog).models["a"]
    assert model.metrics == ("mean_squared_error", "r2")


def test_partition_values_stay_as_written(read):
    values = (("UA",), ("9E",), ("AA",), ("007",), ("NO",), ("1.50",))
    assert read("flights").models["arrival_delay"].partitions.only == values
    assert read("mixed").models["sales"].partitions.except_ == (("north", "1"), ("south", "2"))


def test_a_model_field_replaces_the_whole_field_of_the_defaults(read):
    models = read("flights").models
    assert models["congestion"].gate == GateRules(min_clusters=10)
    assert models["departure_delay"].gate == GateRules(
        margin=Margin(value=0.5, absolute=True),
        limits=(Limit(metric="mean_absolute_error", max=60.0), Limit(metric="r2", min=-1.0)),
    )
    assert models["arrival_delay"].estimator == Estimator(
        type="XGBRegressor", parameters={"n_estimators": 80, "max_depth": 4, "n_jobs": 1}, version="2"
    )
    assert models["congestion"].estimator.parameters == {"max_iter": 60, "learning_rate": 0.1}
    assert models["congestion"].partitions == Partitions(min_rows=200)
    assert models["late"].partitions == Partitions()
    assert {model.owner for model in models.values()} == {"operations"}


def test_metrics_lose_their_minus_sign(read):
    metrics = read("flights").models["departure_delay"].metrics
    assert metrics == ("mean_absolute_error", "mean_squared_error", "r2")


def test_the_short_names_are_classes(read):
    models = read("customers").models
    assert models["churn"].estimator.type == "RandomForestClassifier"
    assert models["complaint"].estimator.type == "SVC"
    assert read("mixed").models["returns"].estimator.type == "XGBClassifier"


def test_rules_in_each_form(read):
    flights, customers = read("flights").models, read("customers").models
    assert flights["congestion"].retrain_when == TIME_DEFAULT
    assert flights["late"].retrain_when == Rule(
        conditions=(DefinitionCondition(), UpstreamCondition(), DataCondition(blocks=2)), at_least=2
    )
    assert customers["churn"].retrain_when == Rule(
        conditions=(DefinitionCondition(), UpstreamCondition(), DataCondition(share=0.05))
    )
    assert customers["value"].retrain_when == Rule(conditions=(DefinitionCondition(),))
    assert customers["complaint"].retrain_when == Rule(
        conditions=(DefinitionCondition(), DataCondition(rows=1000)), at_least=2
    )


def test_a_dataset_without_time_is_split_into_folds_beside_the_time_scheme(read):
    assert read("mixed").schemes == {
        "days": TimeScheme(block_days=7),
        "shops": FoldScheme(folds=5),
        "weeks": FoldScheme(folds=5),
    }


def test_texts_of_missing_values_stay_as_written(read):
    assert read("customers").datasets["accounts"].missing == ("", "NULL", "-999")


def test_places_lead_back_to_the_file(read):
    flights = read("flights")
    text = (GOOD / "flights.yaml").read_text().splitlines()
    for path, token in [
        ("models.arrival_delay.features[0]", "distance"),
        ("datasets.flights.ingested", "seen_at"),
        ("models.departure_delay.inputs.congestion.match.hour", "sched_hour"),
        ("defaults.estimator.type", "HistGradient"),
    ]:
        place = flights.places[path]
        assert text[place.line - 1][place.column - 1 :].startswith(token)
    inner = locate(flights.places, "m.yaml", "models.late.features[3]", "defaults.features[3]")
    assert inner.path == "models.late"
    assert locate(flights.places, "m.yaml", "nowhere").line == 0


@pytest.mark.parametrize("name", ["customers", "flights", "minimal", "mixed"])
def test_a_manifest_travels_to_other_processes(name, read):
    manifest = read(name)
    assert pickle.loads(pickle.dumps(manifest)) == manifest


def test_the_same_bytes_give_the_same_manifest(read):
    assert read("mixed") == read("mixed")


def test_a_file_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load_manifest(GOOD / "minimal.yaml").name == "minimal"


@pytest.mark.slow
def test_thousands_of_models_are_read(catalog):
    models = "".join(
        f"  m{i}:\n    dataset: days\n    target: {{column: sold, known_after: 1d}}\n    features: [price]\n"
        + (f"    inputs: {{m{i - 1}: {{}}, m{i // 2}: {{as: half}}}}\n" if i > 2 else "")
        for i in range(5000)
    )
    head = "manifest: 1\nname: big\ndefaults: {estimator: Ridge}\n"
    head += "datasets: {days: {path: d, key: [k], time: t}}\n"
    manifest = parse_manifest(f"{head}models:\n{models}".encode(), Path("big.yaml"), catalog)
    assert len(manifest.models) == 5000
    assert manifest.models["m4999"].inputs[1].upstream == "m2499"
