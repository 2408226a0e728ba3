"""Measures of a champion's column: sums by day that can be added up."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retraining.decide.measures import (
    Measure,
    Measured,
    MeasuredBlock,
    add_up,
    days_of,
    loss_metric,
    mean_of,
    merge,
)
from retraining.manifest.catalog import METRICS

# sums of quarters are exact, so that their order cannot matter
QUARTERS = st.integers(0, 400).map(lambda n: n / 4)


@st.composite
def measures(draw):
    labelled = draw(st.integers(0, 50))
    return Measure(
        unit=draw(st.integers(0, 3)),
        rows=labelled + draw(st.integers(0, 9)),
        labelled=labelled,
        weight=draw(QUARTERS),
        losses={"log_loss": draw(QUARTERS), "accuracy": draw(QUARTERS)},
    )


def measure(unit=0, weight=4.0, **losses):
    return Measure(unit=unit, rows=5, labelled=4, weight=weight, losses=losses)


@given(st.lists(measures(), max_size=12), st.integers(0, 12))
def test_merging_parts_is_merging_everything_at_once_in_any_order(parts, cut):
    whole = merge(parts)
    assert merge(parts[:cut], parts[cut:]) == whole == merge(parts[::-1])
    assert merge(whole[:1], whole[1:]) == whole
    assert [one.unit for one in whole] == sorted({one.unit for one in parts})
    total = add_up(whole)
    assert (total.rows if total else 0) == sum(one.rows for one in parts)


def test_a_metric_of_sums_is_in_natural_sign():
    parts = [measure(log_loss=2.0, accuracy=1.0), measure(1, weight=1.0, log_loss=0.5, accuracy=0.0)]
    assert mean_of("log_loss", parts) == 0.5
    assert mean_of("accuracy", parts) == 0.8
    squares = [measure(root_mean_squared_error=36.0)]
    assert mean_of("root_mean_squared_error", squares) == 3.0
    assert math.isnan(mean_of("log_loss", []))
    assert math.isnan(mean_of("log_loss", [measure(weight=0.0, log_loss=0.0)]))


def test_parts_of_other_days_or_metrics_are_not_added_up():
    with pytest.raises(ValueError, match="one unit"):
        measure(log_loss=1.0) + measure(accuracy=1.0)
    with pytest.raises(ValueError, match="one unit"):
        measure(0, log_loss=1.0) + measure(1, log_loss=1.0)


def test_documents_come_back_as_they_were():
    block = MeasuredBlock(
        part=7, mature=True, measures=(measure(log_loss=1.5),), values={"roc_auc": 0.75, "f1": 1.0}
    )
    again = MeasuredBlock.from_json(json.loads(json.dumps(block.to_json())))
    assert again == block
    undefined = MeasuredBlock(part=7, mature=True, measures=(measure(log_loss=math.nan),))
    again = MeasuredBlock.from_json(json.loads(json.dumps(undefined.to_json(), allow_nan=False)))
    assert math.isnan(again.measures[0].losses["log_loss"])


def test_the_gate_is_the_judged_blocks_and_only_mature_blocks_count():
    blocks = [MeasuredBlock(part=p, mature=p < 5, measures=(measure(p, log_loss=1.0),)) for p in range(6)]
    found = Measured(
        node="a",
        column="v",
        loss="log_loss",
        reference=tuple(blocks[:3]),
        judged=(2,),
        since=tuple(blocks[3:]),
    )
    assert [block.part for block in found.gate] == [2]
    assert [block.part for block in found.mature] == [3, 4]
    assert [one.unit for one in days_of(found.since)] == [3, 4, 5]


def test_the_loss_of_a_model_is_its_first_metric_made_of_sums():
    def of(*names, task="classification", probabilities=True):
        return loss_metric([METRICS[name] for name in names], task, probabilities=probabilities)

    assert of("roc_auc", "brier_score_loss") == "brier_score_loss"
    assert of("roc_auc") == "log_loss"
    assert of("f1", probabilities=False) == "accuracy"
    assert of("r2", task="regression") == "mean_squared_error"
    assert of("root_mean_squared_error", task="regression") == "root_mean_squared_error"
