from __future__ import annotations

import base64
import copy
import hashlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_record_samples import LOG_LOSS, flights_record, large_record

from retraining.errors import RetrainingError
from retraining.reporting.page import render_report

checked = settings(derandomize=True, max_examples=30, deadline=None)
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}


class Reader(HTMLParser):
    """Reads a page, insisting that every element is closed in order; keeps elements and the text shown."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))

    def values(self, attribute: str) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get(attribute)) is not None]


@pytest.fixture(scope="module")
def second() -> Reader:
    return Reader(render_report(flights_record()))


RECORDS = {
    "second": flights_record,
    "first": lambda: flights_record(first=True),
    "empty": dict,
    "partitions": lambda: large_record(160, 4),
    "models": lambda: large_record(90, 90),
}


@pytest.mark.parametrize("name", RECORDS)
def test_the_page_is_well_formed_and_its_links_lead_somewhere(name):
    page = render_report(RECORDS[name]())
    read = Reader(page)

    ids = read.values("id")
    assert len(ids) == len(set(ids))
    assert {link for link in read.values("href") if not link.startswith("#")} == set()
    assert {link[1:] for link in read.values("href")} <= set(ids)
    assert {word for labels in read.values("aria-labelledby") for word in labels.split()} <= set(ids)
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        root = ET.fromstring(drawing)
        assert root.get("aria-hidden") == "true" or root.find("title") is not None


@pytest.mark.parametrize("name", RECORDS)
def test_the_page_loads_nothing_and_runs_only_its_own_script(name):
    page = render_report(RECORDS[name]())
    read = Reader(page)

    assert read.values("src") == []
    assert "url(" not in page
    assert "@import" not in page
    assert not [attr for _, attrs in read.elements for attr in attrs if attr.startswith("on")]
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [attrs["content"] for tag, attrs in read.elements if attrs.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_same_record_gives_the_same_bytes_in_whatever_order_its_keys_stand():
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    record = flights_record()
    before = copy.deepcopy(record)

    assert render_report(record) == render_report(record) == render_report(turned(record))
    assert record == before


ATTACK = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x00\ud800"


def test_every_text_of_a_record_is_shown_as_its_letters():
    def attacked(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: attacked(item, name) for name, item in value.items()} | {ATTACK: 1.5}
        if isinstance(value, list):
            return [attacked(item, key) for item in value]
        return ATTACK + value if isinstance(value, str) else value

    for record in (flights_record(), large_record(120, 2), large_record(70, 70)):
        page = render_report(attacked(record))
        read = Reader(page)

        assert [tag for tag, _ in read.elements].count("script") == 1
        assert "img" not in {tag for tag, _ in read.elements}
        assert not [attr for _, attrs in read.elements for attr in attrs if attr.startswith("on")]
        assert "onerror=alert(1)>\"'&\ufffd\ufffd" in read.text
        page.encode("utf-8")


@pytest.mark.parametrize("outcome", ["promoted", "kept", 'x" onload="alert(1)'])
def test_a_word_that_is_no_outcome_reaches_no_attribute_unescaped(outcome):
    read = Reader(
        render_report({"nodes": [{"node": "a", "model": "a", "outcome": outcome, "because": "why"}]})
    )
    assert not [attr for _, attrs in read.elements for attr in attrs if attr.startswith("on")]
    assert outcome in read.text


def test_the_title_says_what_was_released_and_counts_every_outcome():
    page = render_report(flights_record())
    (title,) = re.findall(r"<title>(.*?)</title>", page.split("</head>")[0])
    assert title == (
        "flights · release 1 → 2 · 21 promoted, 5 kept, 1 cancelled, 1 waiting, 1 insufficient, 3 rejected, "
        "1 blocked, 1 failed"
    )


def test_every_node_stands_there_with_all_its_reasons_and_its_outcome(second):
    for node in flights_record()["nodes"]:
        assert node["node"] in second.text
        assert node["because"] in second.text
        assert all(reason["text"] in second.text for reason in node["decision"]["reasons"])


def test_an_error_is_shown_in_full(second):
    assert 'File "xgboost/sklearn.py", line 1247, in fit' in second.text


def test_a_verdict_shows_every_number_that_it_used():
    node = {
        "node": "risk",
        "outcome": "rejected",
        "verdict": {
            "verdict": "rejected",
            "comparison": "refresh",
            "metric": LOG_LOSS,
            "holdout": {"from": "2013-12-16", "to": "2013-12-30", "rows": 4021, "clusters": 14, "blocks": 1},
            "challenger": {LOG_LOSS: 0.2678, "roc_auc": 0.7141},
            "champion": {LOG_LOSS: 0.25, "roc_auc": 0.7322},
            "dummy": {LOG_LOSS: 0.3389},
            "difference": {
                "value": 0.0178,
                "lower": -0.01,
                "upper": 0.025,
                "margin": 0.005,
                "kind": "refresh",
            },
            "limits": [{"metric": LOG_LOSS, "value": 0.2678, "max": 0.3, "min": None, "passed": True}],
            "checks": [
                {"name": "shift", "value": 0.41, "limit": 0.25, "passed": False, "note": "on rows of neither"}
            ],
            "notes": ["no better than a constant guess"],
        },
    }
    text = Reader(render_report({"nodes": [node]})).text
    for shown in (
        "0.2678",
        "0.25+7.1%",
        "0.3389−21%",
        "+7.1% [−4%, +10%]",
        "margin 2%",
        "roc_auc: challenger 0.7141, champion 0.7322",
        "at most 0.3 is allowed",
        "not passed: shift 0.41, limit 0.25on rows of neither",
        "no better than a constant guess",
        "2013-12-16 to 2013-12-30",
        "4,021 rows, 14 days, 1 block",
    ):
        assert shown in text


def test_the_limits_of_a_gate_document_are_read_too():
    check = {
        "name": "r2 at least",
        "value": 0.1,
        "limit": 0.2,
        "passed": False,
        "note": "r2 is 0.1",
        "blocking": False,
    }
    verdict = {"verdict": "promoted", "metric": "r2", "challenger": {"r2": 0.1}, "limits": [check]}
    text = Reader(render_report({"nodes": [{"node": "a", "verdict": verdict}]})).text
    assert "warns: r2 at least 0.1, limit 0.2r2 is 0.1" in text


def test_an_edge_shows_the_metric_with_and_without_its_column():
    edge = {
        "column": "congestion",
        "metric": "mean_squared_error",
        "with": 1502.1,
        "without": 1630.4,
        "difference": -128.3,
        "lower": -180.0,
        "upper": -70.0,
        "rows": 4021,
        "clusters": 14,
    }
    text = Reader(render_report({"nodes": [{"node": "dep_delay", "edges": [edge]}]})).text
    assert "Of 1 upstream column, 1 helps." in text
    assert "1,502" in text
    assert "1,630" in text
    assert "−7.9% [−11%, −4.3%] helps" in text


def test_all_columns_together_are_told_in_words_and_counted_for_themselves():
    edges = [
        {"column": column, "metric": "log_loss", "with": 0.4, "without": 0.4 - value, "difference": value}
        | {"lower": value - 0.01, "upper": value + 0.01}
        for column, value in (("arrdelay", -0.005), ("cancel", -0.02), ("*", -0.03))
    ]
    text = Reader(render_report({"nodes": [{"node": "late15", "edges": edges}]})).text
    assert "Of 2 upstream columns, 1 helps and 1 is unclear." in text
    assert "Together they help 1 of 1 node that reads several." in text
    assert text.count("all upstream columns") == 1
    assert "*" not in text


def test_the_lead_says_what_became_of_every_node():
    def lead(outcomes: list[str], release: dict[str, int | None]) -> str:
        nodes = [{"node": f"n{place}", "outcome": word} for place, word in enumerate(outcomes)]
        record = {"nodes": nodes, "release": release, "fits": {"made": 1}, "seconds": {"total": 50}}
        return Reader(render_report(record)).text

    some = ["promoted"] * 29 + ["rejected"] * 2 + ["failed"]
    told = "29 of 32 nodes promoted; 2 rejected and 1 failed. The run made 1 new fit in 50 s."
    assert f"Release 2 replaces release 1: {told}" in lead(some, {"before": 1, "after": 2})
    assert f"Release 1 is the first: {told}" in lead(some, {"before": None, "after": 1})
    told = "Nothing was released; there is no release yet. Of 1 node, 1 insufficient. The run made"
    assert told in lead(["insufficient"], {"before": None, "after": None})


def test_moments_are_told_in_the_manifests_zone():
    record = flights_record()
    record["manifest"]["timezone"] = "America/New_York"
    record["nodes"][0]["cut"] = "2013-12-30T05:00:00Z"
    text = Reader(render_report(record)).text
    assert "As of2013-12-30 19:00 EST" in text
    assert "Ran2026-11-23 09:00 EST" in text
    assert "Times are those of America/New_York." in text
    assert "2013-12-30T05" not in text


def test_skipped_partitions_are_listed_with_their_rows(second):
    assert "2 partitions of the data became no node." in second.text
    assert "carrier=HA342not among partitions.only" in second.text


def test_a_run_that_released_nothing_says_so():
    record = flights_record()
    record["release"] = {"before": 7, "after": 7, "sequence": 9}
    assert "Nothing was released; release 7 stays current." in Reader(render_report(record)).text


def test_a_record_of_another_format_is_refused():
    with pytest.raises(RetrainingError, match="format 3"):
        render_report({"format": 3})


def test_two_thousand_nodes_give_a_page_that_still_opens():
    page = render_report(large_record(2000, 8))
    assert len(page) < 8_000_000
    assert page.count('id="n') == 2000
    assert "1,000 nodes with better outcomes left out" in page


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path of every value inside a record."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


SMALL = flights_record()
SMALL["nodes"] = [node for node in SMALL["nodes"] if node["model"] in ("dep_delay", "crew", "risk")]
SMALL["timeline"] = SMALL["timeline"][:4]
PLACES = [path for path in places(SMALL) if path != ("format",)]
ODD = [
    None,
    "",
    "text",
    True,
    -1,
    10**400,
    1e308,
    float("nan"),
    float("-inf"),
    0,
    [],
    {},
    [None],
    {"a": None},
    "<b>",
]


@checked
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from([*ODD, ...])), min_size=1, max_size=12))
def test_a_damaged_record_still_gives_a_well_formed_page(damages):
    record = copy.deepcopy(SMALL)
    for path, value in damages:
        holder: Any = record
        try:
            for key in path[:-1]:
                holder = holder[key]
            if value is ...:
                del holder[path[-1]]
            else:
                holder[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    Reader(render_report(record))


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+):(#[0-9a-f]{3,6})\b", block))


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(letter * 2 for letter in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_the_contrast_that_wcag_asks_for(dark):
    style = resources.files("retraining.reporting").joinpath("graph.css").read_text(encoding="utf-8")
    light_block, dark_block = style.split("@media (prefers-color-scheme:dark)", 1)
    palette = colours(dark_block.split("}}", 1)[0]) if dark else colours(light_block)
    assert colours(light_block).keys() == colours(dark_block.split("}}", 1)[0]).keys()

    outcomes = [name.removesuffix("-t") for name in palette if name.endswith("-t")]
    pairs = [(word, ground) for word in ("ink", "soft", "link") for ground in ("bg", "panel", "mark")]
    pairs += [(outcome, f"{outcome}-t") for outcome in outcomes]
    pairs += [("ink", f"{outcome}-t") for outcome in outcomes]
    poor = {pair: contrast(palette[pair[0]], palette[pair[1]]) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


def test_the_report_needs_no_heavy_library():
    code = (
        "import sys, retraining.reporting.page, retraining.reporting.text\n"
        "print(sorted({'ray', 'sklearn', 'pandas', 'numpy', 'xgboost', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
