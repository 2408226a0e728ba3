from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_record_samples import flights_record, large_record

from retraining.reporting.forest_svg import axes_of, describe_difference, draw_interval
from retraining.reporting.graph_svg import MOST_MODELS, draw_graph, explain_cards
from retraining.reporting.record import read_record
from retraining.reporting.timeline_svg import busy_share, draw_timeline
from retraining.reporting.view import Difference, RunView

checked = settings(derandomize=True, max_examples=100, deadline=None)


def boxes(drawing: str) -> int:
    return drawing.count('class="card"')


def test_a_graph_of_34_nodes_shows_a_chip_for_each():
    run = read_record(flights_record())
    drawing = draw_graph(run.nodes)

    chips = re.findall(r'<a href="#n(\d+)" class="chip o-(\w+)" data-p="\d+" aria-label="([^"]+)"', drawing)
    assert [(run.nodes[int(place)].name, outcome) for place, outcome, _ in chips] == [
        (label.rsplit(": ", 1)[0], outcome) for _, outcome, label in chips
    ]
    assert sorted(int(place) for place, _, _ in chips) == list(range(34))
    assert all(run.nodes[int(place)].outcome == outcome for place, outcome, _ in chips)


def test_each_edge_between_nodes_can_be_pointed_out():
    run = read_record(flights_record())
    place = {node.name: node.place for node in run.nodes}
    wanted = {f"{place[up]} {node.place}" for node in run.nodes for up in node.upstreams}

    assert set(re.findall(r'data-e="([^"]+)"', draw_graph(run.nodes))) == wanted


def test_many_partitions_collapse_to_models_with_counts():
    run = read_record(large_record(2000, 8))
    drawing = draw_graph(run.nodes)

    assert boxes(drawing) == 8
    assert "chip" not in drawing
    assert (
        sum(int(count.replace(",", "")) for count in re.findall(r">([\d,]+) promoted<", drawing))
        == dict(run.counts)["promoted"]
    )
    assert "counts their outcomes" in explain_cards(run.nodes)


def test_many_models_collapse_to_levels():
    run = read_record(large_record(MOST_MODELS + 20, MOST_MODELS + 20))
    drawing = draw_graph(run.nodes)

    assert boxes(drawing) == 4
    assert "20 models" in drawing
    assert "level" in explain_cards(run.nodes)


def test_upstreams_that_are_not_in_the_run_are_left_out():
    run = read_record(
        {"nodes": [{"node": "a", "upstreams": ["gone", "a"]}, {"node": "b", "upstreams": ["a"]}]}
    )
    assert draw_graph(run.nodes).count('data-e="0 1"') == 1


def timeline_of(bars: list[tuple[float, float]], kind: str = "block") -> RunView:
    items = [
        {"node": f"n{at}", "kind": kind, "worker": "w", "start": a, "end": b}
        for at, (a, b) in enumerate(bars)
    ]
    return read_record({"timeline": items})


def test_each_task_that_can_be_seen_is_a_bar_true_to_scale():
    drawing = draw_timeline(timeline_of([(0, 10), (10, 40), (60, 100)]))
    bars = [
        (float(x), float(w))
        for x, w in re.findall(r'class="k-block" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawing)
    ]

    left = bars[0][0]
    scale = bars[2][0] - left
    assert [round((x - left) / scale * 60) for x, _ in bars] == [0, 10, 60]
    assert [round(width / scale * 60) for _, width in bars] == [10, 30, 40]


def test_tasks_too_thin_to_see_are_drawn_as_one_and_counted():
    drawing = draw_timeline(timeline_of([(place * 0.01, place * 0.01 + 0.009) for place in range(10_000)]))
    bars = drawing.count("<rect") - 1
    assert bars < 1500
    merged = [
        int(many.replace(",", "")) for many in re.findall(r"<title>([\d,]+) tasks of kind block", drawing)
    ]
    assert sum(merged) + (bars - len(merged)) == 10_000


def test_a_failed_task_is_marked_and_says_why():
    record = {
        "timeline": [{"node": "a", "kind": "gate", "worker": "w", "start": 0, "end": 1, "error": "no rows"}]
    }
    drawing = draw_timeline(read_record(record))
    assert 'class="k-failed"' in drawing
    assert "failed: no rows" in drawing


def test_the_share_of_busy_slots_counts_all_slots():
    run = timeline_of([(0, 5), (5, 10)])
    assert busy_share(run.timeline, 10.0, 2) == 0.5
    assert busy_share(run.timeline, None, 2) is None


def interval(value: float, lower: float, upper: float, reference: float | None = None) -> Difference:
    return Difference(value=value, lower=lower, upper=upper, reference=reference)


def test_losses_share_an_axis_in_percent_and_other_metrics_have_their_own():
    axes = axes_of(
        [
            ("log_loss", interval(-0.01, -0.02, 0.01, reference=0.5)),
            ("mean_squared_error", interval(-10, -30, 5, reference=1000)),
            ("r2", interval(-0.3, -0.4, -0.2)),
        ]
    )
    assert {key: axis.reach for key, axis in axes.items()} == {"%": 0.04, "r2": 0.4}


@checked
@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40))
def test_most_intervals_fit_their_axis(reaches):
    axes = axes_of(("r2", interval(0, -reach, reach)) for reach in reaches)
    inside = sum(reach <= axes["r2"].reach * 1.001 for reach in reaches)
    assert inside >= 0.9 * len(reaches)


def test_an_interval_that_leaves_the_axis_ends_in_an_arrow():
    axes = axes_of([("r2", interval(0, -1, 1))])
    inside = draw_interval(interval(0, -0.5, 0.5), axes["r2"])
    beyond = draw_interval(interval(5, -0.5, 9), axes["r2"])

    assert "L212.0" not in inside
    assert "L212.0 15" in beyond
    assert 'class="point"' not in beyond


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (interval(-10, -30, 5, reference=1000), "-1% [-3%, +0.5%]"),
        (interval(-0.0312, -0.05, 0.001), "-0.031 [-0.05, +0.001]"),
        (Difference(value=0.5), "+0.5"),
    ],
)
def test_a_difference_is_told_with_its_interval(difference, text):
    assert describe_difference(difference) == text
