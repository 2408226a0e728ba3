"""Drift as people read it: in 80 columns and most severe first on a terminal, as strips in the report."""

from __future__ import annotations

import re

import pytest
from run_record_samples import flights_record

from retraining.decide.advice import Advice, Scan
from retraining.decide.drift import Finding
from retraining.reporting.drift_text import drift_text
from retraining.reporting.page import render_report


def finding(kind, column, effect, q=0.001, nodes=None, **more):
    loss = kind == "loss"
    fields = {
        "kind": kind,
        "column": column,
        "nodes": nodes or (column,),
        "effect": effect,
        "floor": 0.02 if loss else 0.2,
        "usual": 0.1,
        "distance": None if loss else 0.5,
        "before": 0.145,
        "now": 0.2,
        "probability": q,
        "adjusted": q,
        "windows": 1000,
        "exact": False,
        "reference": (15700, 15800),
        "window": (15868, 15881),
        "days": (101, 14),
        "rows": (10_000, 1_400),
        "metric": "log_loss" if loss else "",
        "strip": ((15840, 15853, -0.1), (15854, 15867, 0.3), (15868, 15881, effect)),
    }
    return Finding(**{**fields, **more})


FOUND = (
    finding("loss", "late_15[origin=JFK]", 0.38),
    finding("prediction", "dep_delay[origin=JFK]", 0.65),
    finding("inputs", "hours[origin=JFK].temp", 5.5, nodes=("congestion[origin=JFK]",)),
    finding("loss", "late_15[origin=LGA]", 0.05, q=0.4),
    finding("loss", "risk", float("nan"), q=None, days=(101, 2)),
)
ADVICE = (
    Advice(
        node="late_15[origin=JFK]",
        story="world",
        causes=("dep_delay[origin=JFK]",),
        retrain=("late_15[origin=JFK]",),
    ),
    Advice(node="dep_delay[origin=JFK]", story="moved", retrain=("late_15[origin=JFK]",)),
    Advice(node="congestion[origin=JFK]", story="inputs", causes=("hours[origin=JFK].temp",)),
)


def scan(found=FOUND, advice=ADVICE, **more):
    fields = {
        "release": 3,
        "as_of": "2013-07-01T04:00:00Z",
        "nodes": 34,
        "length": 14,
        "findings": found,
        "advice": advice,
        "unmeasured": {"crew": "never released", "gate_hold": "never released"},
    }
    return Scan(**{**fields, **more})


def test_the_text_tells_the_most_severe_first_and_what_to_do():
    text = drift_text(scan())
    places = [
        text.index(word)
        for word in ("ACT    loss", "watch  pred", "info   hours", "quiet    1 column", "early ")
    ]
    assert places == sorted(places)
    assert "log_loss 0.145 -> 0.2 (+38%), q 0.001" in text
    assert "-> retrain late_15[origin=JFK]" in text
    assert "crew and gate_hold: never released" in text
    assert max(map(len, text.splitlines())) <= 80


def test_many_findings_are_cut_and_lines_stay_short():
    found = [finding("inputs", f"hours[origin=A{n}].a_rather_long_feature_name", 1.0) for n in range(40)]
    text = drift_text(scan((*FOUND, *found)))
    assert "and 33 more" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_quiet_scan_says_so_and_one_that_could_not_look_does_not_say_quiet():
    quiet = drift_text(scan(FOUND[3:4], ()))
    assert "nothing drifts: 1 column of 34 nodes tested in one scan" in quiet
    assert "nothing could be tested" in drift_text(scan((), ()))


@pytest.fixture(scope="module")
def page():
    record = flights_record()
    record["drift"] = {
        "findings": [one.to_json() for one in FOUND],
        "advice": [one.to_json() for one in ADVICE],
    }
    return render_report(record)


def test_the_page_draws_a_strip_for_each_column(page):
    section = page[page.index('<section id="drift"') :]
    section = section[: section.index("</section>")]
    assert section.count('<svg class="drift"') == len(FOUND)
    assert section.count('class="frame"') == len(FOUND)
    assert "Show 2 columns that do not drift" in section
    assert "the world has changed" in section
    assert re.search(r"<title>2013-06-12 to 2013-06-25: \+0.38</title>", section)


def test_a_page_without_a_scan_has_no_such_section():
    assert 'id="drift"' not in render_report(flights_record())


def test_a_record_that_was_cut_short_still_makes_a_page():
    record = flights_record()
    record["drift"] = {"findings": [{"column": "<x>", "strip": [{"from": "soon"}], "nodes": None}]}
    page = render_report(record)
    assert "&lt;x&gt;" in page
