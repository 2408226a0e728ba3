"""How champions do on what came after them, as lines and as a section of the page."""

import copy

from retraining.reporting.page import render_report
from retraining.reporting.parts import Part
from retraining.reporting.tracks import read_track, track_text
from tests.reporting.run_record_samples import flights_record


def block(role, start, end, value, mature=True):
    values = {"log_loss": value, "roc_auc": None} if mature else {}
    return {
        "from": start,
        "to": end,
        "fold": None,
        "role": role,
        "mature": mature,
        "rows": 4210,
        "labelled": 4200,
        "values": values,
    }


DOCUMENT = {
    "metrics": ["log_loss", "roc_auc"],
    "deciding": "log_loss",
    "blocks": [
        block("judged", "2013-05-13", "2013-05-26", 0.47),
        block("since", "2013-06-10", "2013-06-23", 0.645),
        block("since", "2013-07-08", "2013-07-21", 0.0, mature=False),
    ],
    "judged": {"log_loss": 0.47, "roc_auc": None},
    "since": {"log_loss": 0.645, "roc_auc": None},
    "since_from": "2013-06-10",
    "rows": 4200,
    "days": 14,
    "worsening": {
        "metric": "log_loss",
        "before": 0.47,
        "after": 0.645,
        "difference": 0.175,
        "margin": 0.0094,
        "lower": 0.05,
        "probability": 0.001,
        "clusters": [14, 14],
        "draws": 4000,
    },
    "not_compared": "",
    "pending": 2,
    "lost": 1,
    "error": "",
}


def lines(**changes):
    return "\n".join(track_text(read_track(Part({**DOCUMENT, **changes}))))


def test_each_block_has_a_line_and_what_is_missing_is_said():
    told = lines()
    assert "judged 2013-05-13 to 2013-05-26: 4,210 rows, log_loss 0.47" in told
    assert "labels are not mature yet" in told
    assert "in all since 2013-06-10: 4,200 rows of 14 days, log_loss 0.645" in told
    assert "worse than its gate said: difference in loss of log_loss +0.175" in told
    assert "2 blocks not measured yet: `retrain run` measures" in told
    assert "the predictions of 1 earlier block are no longer in the store" in told
    assert all(len(line) <= 80 for line in told.splitlines())
    assert read_track(Part({})) is None


def test_what_was_not_shown_or_not_compared_is_said_so():
    unclear = {**DOCUMENT["worsening"], "lower": -0.01}
    assert "not shown to be worse than its gate said" in lines(worsening=unclear)
    few = lines(worsening=None, not_compared="3 days since, and min_clusters asks for 8")
    assert "cannot be compared with its gate: 3 days since" in few
    assert "could not be measured: the model is gone" in lines(error="the model is gone")


def test_folds_have_no_days():
    fold = {**block("since", None, None, 0.5), "from": None, "to": None, "fold": 3}
    told = lines(blocks=[fold], since_from=None, days=None, judged=None, worsening=None)
    assert told.startswith("measured:")
    assert "\n  fold 3: 4,210 rows" in told
    assert "in all now: 4,200 rows" in told


def test_the_page_has_a_section_only_where_champions_were_measured():
    record = flights_record()
    assert 'id="tracks"' not in render_report(record)
    record = copy.deepcopy(record)
    record["nodes"][0]["performance"] = DOCUMENT
    page = render_report(record)
    assert page.count('class="track"') == 1
    assert "2013-06-10 to 2013-06-23: 0.645" in page
    assert "Champions since their cuts" in page
