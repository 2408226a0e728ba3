"""Callables of the user's own in a manifest: how they are written, and what is known of them without importing."""

from __future__ import annotations

from pathlib import Path

import pytest

from retraining.manifest.loading import parse_manifest
from retraining.manifest.own import estimator_facts_of

HEAD = "manifest: 1\nname: m\ndatasets: {d: {path: d.csv, key: [k]}}\nmodels:\n  a:\n    dataset: d\n"


def text(estimator: str, *more: str, target: str = "y") -> str:
    lines = [f"target: {target}", "features: [x]", f"estimator: {estimator}", *more]
    return HEAD + "".join(f"    {line}\n" for line in lines)


def test_what_a_callable_predicts_follows_from_metrics_classes_or_task(catalog):
    def task(*arguments: str, **more: str) -> tuple[str, bool]:
        manifest = parse_manifest(text(*arguments, **more).encode(), Path("m.yaml"), catalog)
        facts = estimator_facts_of(manifest.models["a"])
        return facts.task, facts.probabilities

    assert (
        task("shop.models:build", "metrics: [r2, max_error]", "gate: {margin: {absolute: 1}}")[0]
        == "regression"
    )
    assert task("shop.models:build", "metrics: [log_loss]") == ("classification", True)
    assert task("shop:build", "metrics: [f1]", "gate: {margin: {absolute: 1}}") == ("classification", False)
    assert task("shop:build", target="{column: y, classes: [a, b]}") == ("classification", True)
    assert task("{type: shop:build, task: regression}")[0] == "regression"
    own = "metrics: [{type: shop:cost, better: lower, needs: probabilities}]"
    assert task("shop:build", own) == ("classification", True)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (("shop.models:build",), "cannot be told without importing it"),
        (("'shop.models:'",), "is no callable"),
        (("'shop models:build'",), "is no callable"),
        (("../shop:build",), "is no callable"),
        (("{type: Ridge, task: regression}",), "`task` is of a callable of your own"),
        (("Ridge", "metrics: [shop:cost]"), "a metric of your own says how it is read"),
        (
            ("Ridge", "metrics: [{type: shop:cost, better: low, needs: value}]"),
            "expected one of lower, higher",
        ),
        (("Ridge", "metrics: [{type: shop:cost, better: lower}]"), "needs"),
        (("Ridge", "metrics: [{type: shop:cost, better: lower, needs: labels}]"), "metric of classification"),
        (("Ridge", "metrics: [{type: shop:cost, better: higher, needs: value}]"), "no loss above 0"),
        (("Ridge", "gate: {limits: {'shop:cost': {max: 1}}}"), "is not among the metrics"),
    ],
)
def test_what_is_wrong_with_a_callable_is_told_once(lines, found, problems_of):
    problems = problems_of(text(*lines))
    assert len(problems) == 1, problems
    assert found in str(problems[0])


def test_a_limit_on_a_metric_of_ones_own_needs_it_to_be_listed(problems_of):
    metrics = "metrics: [mean_squared_error, {type: shop:cost, better: lower, needs: value}]"
    assert problems_of(text("Ridge", metrics, "gate: {limits: {'shop:cost': {max: 1}}}")) == []
