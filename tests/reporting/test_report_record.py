from __future__ import annotations

import pytest
from run_record_samples import flights_record

from retraining.errors import RetrainingError
from retraining.graph.nodes import node_name
from retraining.manifest.catalog import METRICS
from retraining.reporting.outcomes import OUTCOMES, describe_outcome, tally
from retraining.reporting.record import partition_label, read_record
from retraining.reporting.view import Difference, is_loss


@pytest.mark.parametrize(
    ("node", "model", "label"),
    [
        ("dep_delay[origin=EWR]", "dep_delay", "EWR"),
        ("m[a=1,b=x]", "m", "1 / x"),
        (node_name("m", ("a", "b"), ("x, y=z]", '"')), "m", 'x, y=z] / "'),
        ("risk", "risk", ""),
        ("m[odd]", "m", "m[odd]"),
        ("other", "m", "other"),
        ("", "", ""),
    ],
)
def test_a_partition_is_labelled_by_its_values(node, model, label):
    assert partition_label(node, model) == label


def test_the_outcomes_are_the_closed_list_of_the_manifest_s_words():
    words = {outcome.word for outcome in OUTCOMES}
    assert words == {
        "promoted",
        "rejected",
        "insufficient",
        "waiting",
        "pending",
        "kept",
        "failed",
        "blocked",
        "cancelled",
    }
    assert describe_outcome("novel").attention


def test_outcomes_are_counted_from_the_best_to_the_worst():
    assert tally(["failed", "kept", "zeta", "promoted", "failed"]) == (
        ("promoted", 1),
        ("kept", 1),
        ("failed", 2),
        ("zeta", 1),
    )


def test_counts_come_from_the_nodes_and_only_without_them_from_the_record():
    record = flights_record()
    record["counts"] = {"promoted": 99}
    assert dict(read_record(record).counts)["promoted"] == 21

    record["nodes"] = None
    assert read_record(record).counts == (("promoted", 99),)


def test_the_duration_falls_back_to_the_two_moments():
    record = flights_record()
    record["seconds"] = None
    assert read_record(record).total_seconds == 170

    record["ended"] = "later"
    assert read_record(record).total_seconds is None


def test_a_record_of_another_format_is_refused_with_the_next_step():
    with pytest.raises(RetrainingError, match="format 2") as caught:
        read_record({"format": 2})
    assert caught.value.next_step


def test_what_has_another_shape_is_left_out():
    run = read_record(
        {"nodes": [7, {"node": "a", "rows": {"total": "many"}, "verdict": [], "edges": {}}], "slots": "x"}
    )
    assert [node.name for node in run.nodes] == ["a"]
    assert run.nodes[0].verdict is None
    assert dict(run.nodes[0].rows) == {}
    assert run.slots is None


def test_a_bar_that_ends_before_it_begins_is_left_out():
    run = read_record(
        {"timeline": [{"start": 2, "end": 1}, {"start": 1, "end": 2}, {"start": None, "end": 2}]}
    )
    assert [(bar.start, bar.end) for bar in run.timeline] == [(1, 2)]


@pytest.mark.parametrize(
    ("lower", "upper", "finding"),
    [
        (-2, -1, "better"),
        (1, 2, "worse"),
        (-1, 1, "unclear"),
        (-1, 0, "unclear"),
        (None, -1, "better"),
        (None, None, "unclear"),
    ],
)
def test_a_difference_is_clear_only_if_its_whole_interval_is(lower, upper, finding):
    assert Difference(value=0, lower=lower, upper=upper).finding == finding


def test_only_losses_above_zero_are_told_in_percent():
    node = {
        "node": "a",
        "edges": [
            {"metric": m, "with": 1, "without": w, "difference": -1}
            for m, w in (("log_loss", 2), ("log_loss", 0), ("r2", 2))
        ],
    }
    references = [
        edge.difference.reference for edge in read_record({"nodes": [node]}).edges if edge.difference
    ]
    assert references == [2, None, None]


def test_metrics_of_the_catalogue_point_the_way_that_their_names_say():
    assert {name for name in METRICS if is_loss(name)} == {
        name for name, metric in METRICS.items() if not metric.greater_is_better
    }


def test_the_telling_line_of_a_traceback_is_its_last():
    nodes = {node.name: node for node in read_record(flights_record()).nodes}
    assert nodes["arr_delay[carrier=MQ]"].error_line.startswith(
        "xgboost.core.XGBoostError: Label contains NaN"
    )
    assert nodes["risk"].error_line == ""


def test_an_error_may_be_a_mapping():
    error = {"type": "ValueError", "message": "no rows", "traceback": "Traceback"}
    assert (
        read_record({"nodes": [{"node": "a", "error": error}]}).nodes[0].error
        == "ValueError: no rows\nTraceback"
    )
