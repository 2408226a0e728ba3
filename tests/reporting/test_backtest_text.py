"""What people read of a backtest: who is best, how sure that is, what was left out; never wider than a terminal."""

import math

from retraining.reporting.backtest_text import Backtest, Cost, Difference, ModelLosses, Quality, backtest_text


def quality(policy, value, difference=None, *, best=False, change=None):
    return Quality(policy=policy, value=value, loss=value, change=change, difference=difference, best=best)


def difference(value, lower, upper):
    return Difference(reference="as-written", value=value, lower=lower, upper=upper)


def model(name, *policies, rows=40, left_out=0):
    return ModelLosses(
        model=name,
        metric="log_loss",
        nodes=2,
        blocks=4,
        rows=rows,
        days=28,
        left_out=left_out,
        policies=policies,
    )


def found(*models):
    cost = Cost(policy="never", rule="definition", runs=1, fits=9, seconds=2.0, outcomes={"promoted": 2})
    other = Cost(
        policy="as-written", rule=None, runs=4, fits=17, seconds=75.0, outcomes={"promoted": 7, "failed": 1}
    )
    return Backtest(
        manifest="shop",
        timezone="UTC",
        begin="2024-01-01T00:00:00Z",
        end="2024-02-01T00:00:00Z",
        steps=("2024-01-01T00:00:00Z",),
        baseline="never",
        reference="as-written",
        costs=(cost, other),
        models=models,
        notes=("A note.",),
    )


def test_each_verdict_has_its_words_and_lines_fit_a_terminal():
    nan = math.nan
    text = backtest_text(
        found(
            model(
                "demand",
                quality("never", 0.5, difference(0.1, 0.02, 0.2)),
                quality("as-written", 0.4, best=True, change=-0.2),
                quality("always", 0.4213, difference(0.0213, -0.01, 0.05), change=-0.1574),
                left_out=1,
            ),
            model("price", quality("never", 0.5, difference(0.1, nan, nan)), quality("as-written", 0.4)),
            model("stock", quality("never", 0.4, difference(0.0, 0.0, 0.0)), quality("as-written", 0.4)),
            model("none", rows=0, left_out=3),
        )
    )
    assert "worse than as-written (+0.02 to +0.2)" in text
    assert "not told apart (-0.01 to +0.05)" in text
    assert "too few days to say how sure" in text
    assert "the same as as-written" in text
    assert "1 block that not every policy had a release for" in text
    assert "no block that every policy had a release for (3 blocks left out)" in text
    assert "1 failed" in text
    assert "  as-written  0.4000    -20%  best\n" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_node_that_failed_is_an_exit_code_and_what_is_no_number_is_null():
    document = found(
        model("a", quality("never", math.nan, difference(math.nan, math.nan, math.nan)))
    ).to_json()
    assert document["exit_code"] == 1
    (one,) = document["models"][0]["policies"]
    assert one["value"] is one["loss"] is one["change"] is None
    assert one["difference"]["lower"] is None
