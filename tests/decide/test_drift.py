"""A scan: distinct columns, false discoveries by kind, floors, windows, seasons; and what its findings mean."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.decide.advice import advise
from retraining.decide.drift import Finding, ranked, told
from retraining.decide.drift import scan as scan_in_order
from retraining.decide.profiles import NumberBins, Profile, number_bins
from retraining.decide.watched import Watched, period_of
from retraining.graph.graph import Edge, Graph
from retraining.graph.nodes import Node

from .test_shifts import loss_days

#: weather feeds delay, which feeds both carriers, which feed late.
CHAIN = ["weather", "delay", "UA", "WN", "late"]
GRAPH = Graph(
    nodes=tuple(Node(name=name, model=name, partition=()) for name in CHAIN),
    edges=tuple(
        Edge(upstream=up, downstream=down, column=up)
        for up, down in [
            ("delay", "UA"),
            ("delay", "WN"),
            ("UA", "late"),
            ("WN", "late"),
            ("weather", "delay"),
        ]
    ),
)


def profiles(rng, moved, days=60, window=14, rows=40, bins=None):
    """What a clustered column held before and since a cut, with its mean moved by so many standard deviations."""
    day = np.repeat(np.arange(days + window), rows)
    values = rng.normal(size=len(day)) + np.repeat(rng.normal(0, 0.3, days + window), rows)
    values += np.where(day >= days, moved, 0.0)
    bins = number_bins(values[day < days])
    before, since = day < days, day >= days
    return tuple(Profile.of_numbers(bins, values[at], day[at]) for at in (before, since))


def watched(seed, moved, kind="prediction", column="delay", nodes=("delay",), **more):
    before, since = profiles(np.random.default_rng(seed), moved)
    return Watched(kind=kind, column=column, nodes=nodes, before=before, since=since, floor=0.2, **more)


def loss(seed, factor, column="delay", days=60, window=14, floor=0.02, **more):
    rng = np.random.default_rng(seed)
    before, since = rng.gamma(50, 0.02, days), factor * rng.gamma(50, 0.02, window)
    return Watched(
        kind="loss",
        column=column,
        nodes=(column,),
        before=loss_days(before),
        since=loss_days(since, start=days),
        floor=floor,
        metric="brier_score",
        **more,
    )


def scan(watched, seed):
    return ranked(scan_in_order(list(watched), seed))


def test_findings_come_in_the_order_of_what_was_asked():
    asked = [watched(2, 0.0, column="calm"), watched(1, 1.0), watched(2, 0.0, column="calm")]
    found = scan_in_order(asked, seed=0)
    assert [one.column for one in found] == ["calm", "delay", "calm"]
    assert found[0] is found[2]
    assert len(ranked(found)) == 2


def test_the_strip_shows_every_two_weeks_before_and_since():
    found = scan([loss(1, 1.4)], seed=0)[0]
    assert [first for first, _, _ in found.strip] == [0, 4, 18, 32, 46, 60]
    assert found.strip[-1][2] == pytest.approx(found.effect)
    assert all(abs(value) < 0.2 for _, _, value in found.strip[:-1])
    moved = scan([watched(1, 1.0)], seed=0)[0]
    assert moved.strip[-1][2] > 4 * max(value for _, _, value in moved.strip[1:-1])


def test_a_moved_column_drifts_and_a_calm_one_does_not():
    moved, calm = scan([watched(1, 1.0), watched(2, 0.0, column="calm")], seed=0)
    assert (moved.column, moved.drifted, moved.severity) == ("delay", True, "watch")
    assert moved.effect > 0.2
    assert moved.distance > 0.5
    assert not calm.drifted
    assert moved.usual < moved.effect


def test_a_sure_difference_below_the_floor_is_no_drift():
    found = scan([watched(1, 1.0)], seed=0)[0]
    assert found.reaches(found.effect)
    assert not found.reaches(found.effect * 1.01)


def test_a_loss_drifts_where_it_is_worse_by_more_than_the_margin():
    worse, little, better = scan(
        [loss(1, 1.4), loss(2, 0.6, column="better"), loss(3, 1.4, column="little", floor=0.9)], seed=0
    )
    assert (worse.column, worse.drifted, worse.severity) == ("delay", True, "act")
    assert (worse.effect, worse.now) == (pytest.approx(0.4, abs=0.1), pytest.approx(1.4, abs=0.1))
    assert (little.column, little.drifted, little.adjusted < 0.05) == ("little", False, True)
    assert (better.column, better.drifted) == ("better", False)


def test_an_absolute_margin_is_held_against_the_loss_as_it_was():
    found = scan([loss(1, 1.4, floor=0.1, absolute=True)], seed=0)[0]
    assert found.floor == pytest.approx(0.1 / found.before)
    assert found.drifted
    assert not scan([loss(1, 1.4, floor=0.9, absolute=True)], seed=0)[0].drifted


def test_a_column_that_several_nodes_read_on_the_same_days_is_tested_once():
    one = watched(1, 1.0, kind="inputs", column="hours.temp", nodes=("a",))
    other = dataclasses.replace(one, nodes=("b",), floor=0.1)
    later = dataclasses.replace(one, nodes=("c",), after=65)
    found = scan([other, one, later], seed=0)
    assert [f.nodes for f in found if f.days[1] == 14] == [("a", "b")]
    assert [f.floor for f in found if f.days[1] == 14] == [0.1]
    assert [f.days for f in found if f.nodes == ("c",)] == [(60, 8)]


def test_inputs_that_always_differ_make_no_loss_easier_to_call():
    many = [watched(seed, 1.0, kind="inputs", column=f"x{seed}") for seed in range(20)]
    alone = scan([loss(1, 1.05), loss(2, 1.0, column="calm")], seed=0)
    among = [f for f in scan([*many, loss(1, 1.05), loss(2, 1.0, column="calm")], seed=0) if f.kind == "loss"]
    assert [f.adjusted for f in among] == [f.adjusted for f in alone]


def test_the_most_severe_comes_first():
    given_ = [
        watched(1, 2.0, kind="inputs", column="temp"),
        watched(2, 1.0),
        loss(3, 1.4),
        loss(4, 1.0, "calm"),
    ]
    found = scan(given_, seed=0)
    assert [f.kind for f in found] == ["loss", "prediction", "inputs", "loss"]
    assert found == scan(reversed(given_), seed=0)


def test_too_few_days_say_so_and_take_no_part():
    found = scan([loss(1, 2.0, window=3), loss(2, 1.4, column="enough")], seed=0)
    few = next(f for f in found if f.column == "delay")
    assert (few.tested, few.drifted, few.days) == (False, False, (30, 3))
    assert "too few days to tell (3 days against 30 days; 4 on each side" in told(few)
    assert next(f for f in found if f.column == "enough").adjusted == pytest.approx(0.001)


def test_no_days_since_the_cut_say_so():
    nothing = dataclasses.replace(loss(1, 1.0), since=loss_days([]), pending=2)
    assert told(scan([nothing], seed=0)[0]) == "loss of delay: 2 blocks not measured yet"
    looked = dataclasses.replace(nothing, pending=0)
    assert "no new days since the champion's cut" in told(scan([looked], seed=0)[0])


def period(before, since, kind="prediction", length=14, **more):
    zeros = {"bins": NumberBins(edges=()), "before": list(before), "since": list(since)}
    profiles = [
        Profile.of_numbers(zeros["bins"], np.zeros(len(zeros[side])), np.array(zeros[side], np.int64))
        for side in ("before", "since")
    ]
    asked = Watched(
        kind=kind, column="c", nodes=("c",), before=profiles[0], since=profiles[1], floor=0.2, **more
    )
    return period_of(asked, length)


def test_the_window_is_the_newest_two_weeks_after_the_cursor():
    assert period(range(50), range(50, 90)).window == tuple(range(76, 90))
    assert period(range(50), range(50, 90), after=80).window == tuple(range(81, 90))
    assert period(range(50), range(50, 90), after=89).window == ()
    assert period(range(50), range(50, 90), length=3).window == (87, 88, 89)


def test_days_without_rows_are_in_no_window():
    assert period([1, 2], [50, 51, 64, 65]).window == (64, 65)


def test_a_loss_is_compared_with_the_newer_half_of_its_column():
    assert period(range(100), range(100, 114), kind="loss").reference == tuple(range(50, 100))
    assert period(range(40), range(40, 54), kind="loss").reference == tuple(range(12, 40))
    assert period(range(20), range(20, 34), kind="loss").reference == tuple(range(20))
    assert period(range(100), range(100, 114)).reference == tuple(range(100))


@pytest.mark.parametrize("kind", ["loss", "inputs"])
def test_a_year_of_history_is_read_at_the_same_season(kind):
    found = period(range(365), range(365, 379), kind=kind)  # a window in the first days of the second year
    assert found.seasonal
    assert found.reference == tuple(range(58))
    young = period(range(200), range(200, 214))
    assert (young.seasonal, young.reference) == (False, tuple(range(200)))


def test_two_years_give_both_seasons():
    found = period(range(730), range(730, 744))
    assert found.seasonal
    assert {day // 365 for day in found.reference} == {0, 1}
    assert len(found.reference) > 150


@settings(derandomize=True, max_examples=20, deadline=None)
@given(st.sampled_from(["loss", "prediction", "inputs"]), st.booleans(), st.integers(0, 100))
def test_a_finding_is_read_back_as_it_was_written(kind, few, seed):
    window = 3 if few else 14
    one = loss(seed, 1.1, window=window) if kind == "loss" else watched(seed, 0.3, kind=kind)
    (found,) = scan([one], seed=seed)
    again = Finding.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    assert (again.drifted, told(again)) == (found.drifted, told(found))


def test_what_is_told_has_the_numbers():
    found = scan([loss(1, 1.4)], seed=0)[0]
    assert told(found).startswith("loss of delay: brier_score ")
    assert "q 0.001, 1970-03-02 to 1970-03-15 against 1970-01-31 to 1970-03-01" in told(found)
    assert "PSI" in told(scan([watched(1, 1.0)], seed=0)[0])


# -- what it means -------------------------------------------------------------------------------


def finding(kind, node, drifted=True, column=None):
    return Finding(
        kind=kind,
        column=column or node,
        nodes=(node,),
        effect=1.0 if drifted else 0.0,
        floor=0.2,
        usual=0.1,
        distance=None,
        before=1.0,
        now=2.0,
        probability=0.001 if drifted else 0.5,
        adjusted=0.001 if drifted else 0.5,
        windows=1000,
        exact=False,
        reference=(0, 99),
        window=(100, 113),
        days=(100, 14),
        rows=(1000, 140),
    )


def stories(*found):
    return {one.node: (one.story, one.retrain) for one in advise(found, GRAPH)}


def test_a_worse_upstream_is_retrained_first():
    calm = finding("prediction", "delay", drifted=False)
    told_ = stories(finding("loss", "late"), finding("loss", "UA"), finding("prediction", "late"), calm)
    assert told_["UA"] == ("concept", ("UA",))
    assert told_["late"] == ("upstream", ("UA", "late"))


def test_of_several_worse_levels_the_highest_is_retrained_first():
    found = (finding("loss", name) for name in ("late", "UA", "delay"))
    told_ = stories(*found)
    assert told_["late"] == ("upstream", ("delay", "late"))


def test_moved_inputs_under_good_upstreams_mean_that_the_world_has_changed():
    told_ = stories(
        finding("loss", "late"),
        finding("prediction", "UA"),
        finding("loss", "UA", drifted=False),
    )
    assert told_["late"] == ("world", ("late",))
    assert told_["UA"] == ("moved", ("late",))


def test_a_worse_loss_under_quiet_inputs_is_concept_drift():
    calm = [finding("prediction", name, drifted=False) for name in ("UA", "WN")]
    assert stories(finding("loss", "late"), *calm) == {"late": ("concept", ("late",))}
    quiet = finding("inputs", "weather", drifted=False, column="hours.temp")
    assert stories(finding("loss", "weather"), quiet) == {"weather": ("concept", ("weather",))}


def test_concept_drift_is_not_claimed_where_nobody_looked_at_what_is_read():
    assert stories(finding("loss", "late")) == {"late": ("worse", ("late",))}
    half = finding("prediction", "UA", drifted=False)
    assert stories(finding("loss", "late"), half)["late"] == ("worse", ("late",))
    assert stories(finding("loss", "weather"))["weather"] == ("worse", ("weather",))


def test_moved_predictions_without_labels_are_watched():
    assert stories(finding("prediction", "late"))["late"] == ("unknown", ())


def test_inputs_alone_ask_for_nothing():
    (advice,) = advise([finding("inputs", "weather", column="hours.temp")], GRAPH)
    assert (advice.story, advice.causes, advice.action) == ("inputs", ("hours.temp",), "nothing")


def test_what_does_not_drift_is_not_talked_about():
    assert advise([finding("loss", "late", drifted=False)], GRAPH) == ()


def test_those_to_act_on_come_first():
    found = [
        finding("inputs", "weather"),
        finding("prediction", "delay"),
        finding("loss", "late"),
    ]
    assert [one.node for one in advise(found, GRAPH)] == ["late", "delay", "weather"]
    assert not math.isnan(found[0].effect)
