"""Slices and verdicts on models as a whole, on the page and in a node's story."""

from __future__ import annotations

import re

from retraining.reporting.page import render_report
from retraining.reporting.record import read_record
from retraining.reporting.story import Making, Story
from retraining.reporting.story_text import story_text


def one(value, **more):
    return {
        "column": "country", "value": value, "rows": 140, "clusters": 14, "challenger": 3.26, "champion": 0.96,
        "difference": 2.3, "lower": 1.9, "upper": 2.77, "margin": 0.57, "adjusted": 0.0015, "harmed": True, **more,
    }  # fmt: skip


def verdict(**more):
    return {
        "verdict": "rejected", "because": "worse where country=NL", "comparison": "refresh",
        "metric": "mean_squared_error", "challenger": {"mean_squared_error": 6.1},
        "champion": {"mean_squared_error": 13.3}, "dummy": {"mean_squared_error": 9.9},
        "holdout": {"rows": 560, "clusters": 14, "from": "2024-03-18", "to": "2024-03-31", "blocks": 1},
        "difference": {"metric": "mean_squared_error", "value": -7.2, "lower": -7.8, "upper": -6.5, "margin": 4.0},
        **more,
    }  # fmt: skip


SLICES = [one("NL"), one(None, adjusted=None, harmed=False, clusters=3)]
RECORD = {
    "format": 1,
    "nodes": [
        {"node": "m[c=1]", "outcome": "rejected", "verdict": verdict(slices=SLICES)},
        {
            "node": "p",
            "outcome": "promoted",
            "verdict": verdict(pooled={"model": "p", "nodes": 40, **verdict()}),
        },
    ],
    "pools": [{"model": "p", "nodes": 40, **verdict(slices=[one("DE", harmed=False)])}],
}


def plain(markup):
    return " ".join(re.sub(r"<[^>]*>", " ", markup.replace("<wbr>", "")).split())


def test_the_page_has_a_table_of_slices_and_one_of_models_judged_as_a_whole():
    page = plain(render_report(RECORD))
    assert "Models judged as a whole" in page
    assert "40 nodes" in page
    assert "2 slices, 1 harmed" in page
    assert "harmed: country=NL" in page
    assert "country=(missing) 140 3 days" in page
    assert "reported only" in page
    # a run without either has neither
    bare = {"format": 1, "nodes": [{"node": "m", "outcome": "promoted", "verdict": verdict()}]}
    assert "Slices" not in plain(render_report(bare))


def story(node):
    made = Making(view=node, outcome=node.outcome, because=node.because, time="", run="r", document={})
    return story_text(Story(node=node.name, champion=made))


def test_a_story_tells_each_slice_and_what_was_said_of_all_nodes():
    sliced, pooled = read_record(RECORD).nodes
    text = " ".join(story(sliced).split())
    assert "2 slices, 1 harmed: harmed: country=NL: 140 rows, 14 days, 3.26, champion 0.96" in text
    assert "margin 0.57, adjusted p 0.0015" in text
    assert "p has 40 nodes in this verdict" in " ".join(story(pooled).split())
