"""The JSON Schema says what the reader says."""

from __future__ import annotations

import json
import random
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest

from retraining.manifest import json_schema
from retraining.manifest.document import read_document
from retraining.manifest.nodes import plain
from retraining.manifest.problems import Problems
from tests.manifest.test_problems import BASE, CASES, replaced

GOOD = sorted((Path(__file__).parent / "good").glob("*.yaml"))
WRITTEN = Path(__file__).parents[2] / "manifests" / "schema.json"

# What fields say about each other, names of other places, and what JSON cannot show.
BEYOND_A_SCHEMA = {
    "worse than a gate by folds",
    "worse than a gate of another metric",
    "a day that never comes",
    "a limit of the latest",
    "a zone that no map has",
    "an hour that no day has",
    "a label that comes later",
    "a loss of quantiles",
    "an objective of ranks",
    "at_least out of reach",
    "blocks by folds",
    "dataset names equal but for case",
    "default margin of no loss",
    "default metric needs probabilities",
    "limits that are none",
    "aggregate without match",
    "as_of beside match",
    "as_of by folds",
    "classes of a regression",
    "drift by folds",
    "early stopping",
    "feature named like a column",
    "feedback that is always there",
    "estimator without weights",
    "feature that chooses rows",
    "gated by folds",
    "half life by folds",
    "key is a number",
    "key is null",
    "label time by folds",
    "limit of the other task",
    "limit the wrong way round",
    "margin in percent of no loss",
    "merge key",
    "metric of the other task",
    "model names equal but for case",
    "moment among features",
    "no estimator",
    "no label time",
    "no label time in a mapping",
    "nothing to learn from",
    "own prediction",
    "parameter is not finite",
    "partition both in and out",
    "partition value of two columns",
    "partitioned by the target",
    "partitions without partition_by",
    "performance bounded on the good side",
    "performance in an own metric that is not listed",
    "performance in another task's metric",
    "positive of three classes",
    "positive outside the classes",
    "random_state null",
    "tag",
    "target among features",
    "time scheme without any time",
    "time scheme without time",
    "time zone",
    "time zone outside",
    "two label times",
    "unknown dataset",
    "unknown parameter",
    "union with a stranger",
    "unknown upstream",
    "value of a parameter",
    "window by folds",
}


def tree(data):
    return plain(read_document(data, Problems("m.yaml")))


@pytest.fixture(scope="module")
def validator(catalog):
    schema = json_schema(catalog)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_it_accepts_what_the_reader_accepts(file, validator):
    validator.validate(tree(file.read_bytes()))


@pytest.mark.parametrize("name", sorted(set(CASES) - BEYOND_A_SCHEMA))
def test_it_refuses_what_the_grammar_refuses(name, validator):
    validator.validate(tree(BASE.encode()))
    assert not validator.is_valid(tree(replaced(*CASES[name][0]).encode()))


def test_every_object_with_fields_is_closed(validator):
    def objects(schema):
        if isinstance(schema, dict):
            if "properties" in schema:
                yield schema
            for inner in schema.values():
                yield from objects(inner)
        elif isinstance(schema, list):
            for inner in schema:
                yield from objects(inner)

    found = [each for each in objects(validator.schema) if each.get("type") == "object"]
    assert len(found) > 15
    assert all(each["additionalProperties"] is False for each in found)


def test_every_field_is_described(validator):
    for name, definition in validator.schema["$defs"].items():
        for field, schema in definition.get("properties", {}).items():
            assert len(schema["description"]) > 10, (name, field)


def test_an_unknown_field_anywhere_is_refused(validator):
    own_names = {"parameters", "types", "match", "limits", "datasets", "models", "inputs"}
    rng = random.Random(4)
    for file in GOOD:
        for _ in range(20):
            document = tree(file.read_bytes())
            node, key = document, ""
            while True:
                inner = [(k, v) for k, v in node.items() if isinstance(v, dict) and v and k != "parameters"]
                if not inner or (rng.random() < 0.3 and key not in own_names):
                    break
                key, node = rng.choice(inner)
            if key not in own_names:
                node["an unknown field"] = 1
                assert not validator.is_valid(document), key


def test_the_written_schema_is_current(catalog):
    """Write it with `json.dumps(retraining.manifest.json_schema(), indent=1)` and a newline."""
    written = json.loads(WRITTEN.read_text())
    fresh = json_schema(catalog)
    theirs, ours = written["$defs"].pop("estimator_type"), fresh["$defs"].pop("estimator_type")
    assert written == fresh
    # Other versions of scikit-learn and XGBoost offer other classes.
    if version("scikit-learn").startswith("1.9."):
        assert theirs == ours
