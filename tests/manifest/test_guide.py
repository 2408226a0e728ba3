"""The guide's examples are read, and it leaves no field out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from retraining.manifest import json_schema
from retraining.manifest.catalog import METRICS

GUIDE = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)
WHOLE = [block for block in BLOCKS if "manifest: 1" in block]
RULES = [
    line.split("  #")[0].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("retrain_when")
]
SCHEMES = [block.strip() for block in BLOCKS if block.startswith("validation")]


@pytest.mark.parametrize("text", WHOLE)
def test_whole_examples_are_good(text, problems_of):
    assert problems_of(text) == []


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_good(rule, problems_of):
    time = f"""\
manifest: 1
name: m
datasets: {{d: {{path: d.csv, key: [k], time: t}}}}
models:
  a:
    dataset: d
    target: {{column: y, known_after: 0d}}
    features: [x]
    estimator: LogisticRegression
    {rule}
"""
    assert problems_of(time) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_are_good(scheme, problems_of):
    text = f"manifest: 1\nname: m\ndatasets: {{d: {{path: d.csv, key: [k], time: t}}}}\n{scheme}\n"
    target = "y" if "scheme: time" not in scheme else "{column: y, known_after: 0d}"
    assert (
        problems_of(f"{text}models: {{a: {{dataset: d, target: {target}, features: [x], estimator: Ridge}}}}")
        == []
    )


def test_examples_are_found():
    assert (len(WHOLE), len(RULES), len(SCHEMES)) == (2, 13, 3)


def test_every_field_and_metric_is_in_it(catalog):
    fields = {
        field
        for definition in json_schema(catalog)["$defs"].values()
        for field in definition.get("properties", {})
    }
    named = set(re.findall(r"[a-z_0-9]+", GUIDE))
    assert (fields | set(METRICS)) - named == set()
