"""Both leaks on real flights: what they would report, what the engine reports, and that the audit tells them apart.

facts: a "bad day" model that averages the day's own flight predictions explains most of the day, all of it
look-ahead; a model whose column comes from a fit that saw the rows' labels is right about nearly all of them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oracle.workbench import Bench

from retraining.data import edges
from retraining.decide.fits import Before
from retraining.execution.candidates import Candidate
from retraining.operations.audit import audit_release
from retraining.operations.stored import open_stored

from .test_flights import prepare

pytestmark = pytest.mark.slow

AS_OF = "2013-09-01"
MANIFEST = """
timezone: America/New_York
validation: {{scheme: time, blocks: 2w, holdout: 4, min_train: {{rows: 20, blocks: 2}}}}
datasets:
  flights: {{path: flights.parquet, key: [carrier, flight, dest, sched_hour], time: decided_at}}
  days: {{path: days.parquet, key: [day], time: {moment}}}
defaults: {{gate: {{refit_shift: 100}}}}
models:
  late15:
    dataset: flights
    target: {{column: late15, known_after: 2d}}
    features: [clock_hour, weekday, carrier, recent_delay, recent_overdue]
    estimator: {{type: XGBClassifier, parameters: {{n_estimators: 40, max_depth: 4, learning_rate: 0.2, max_bin: 64}}}}
  badday:
    dataset: days
    target: {{column: late_share, known_after: 3d}}
    features: [weekday]
    inputs: {{late15: {{aggregate: [mean], match: [day], {edge}}}}}
    estimator: {{type: HistGradientBoostingRegressor, parameters: {{max_iter: 50}}}}
    metrics: [mean_squared_error, r2]
"""
STACK = """
timezone: America/New_York
validation: {scheme: time, blocks: 2w, holdout: 4, min_train: {rows: 20, blocks: 2}}
datasets: {flights: {path: flights.parquet, key: [carrier, flight, dest, sched_hour], time: decided_at}}
defaults: {gate: {refit_shift: 100}, metrics: [log_loss, roc_auc]}
models:
  number:
    dataset: flights
    target: {column: late15, known_after: 2d}
    features: [flight, weekday, recent_delay, recent_overdue]
    estimator: {type: DecisionTreeClassifier, parameters: {random_state: 0}}
  late:
    dataset: flights
    target: {column: late15, known_after: 2d}
    features: [clock_hour]
    inputs: {number: {}}
    estimator: {type: HistGradientBoostingClassifier, parameters: {max_iter: 30}}
"""


@pytest.fixture(scope="module")
def airport(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flights of JFK from January to August, with what was known of the last hours, and their days."""
    source = prepare.find_source()
    if source is None:
        pytest.skip("needs the extra `flights`: pip install 'retraining[flights]'")
    flights = prepare.read_flights(source)
    flights = flights[(flights["origin"] == "JFK") & (flights["month"] <= 8)].reset_index(drop=True)
    hour = pd.MultiIndex.from_arrays([flights["origin"], flights["decided_at"].dt.floor("h")])
    flights["recent_delay"] = prepare.recent_delays(flights).reindex(hour).to_numpy()
    flights["recent_overdue"] = prepare.recent_overdue(flights).reindex(hour).to_numpy()
    prepare.add_clock(flights, flights["sched_hour"])
    flights["late15"] = ((flights["arr_delay"] > 15) | flights["arrived_at"].isna()).astype("int64")
    flights["day"] = prepare.local_day(flights["sched_hour"])
    days = flights.groupby("day").agg(weekday=("weekday", "first"), late_share=("late15", "mean"))
    days = days.reset_index()
    midnight = pd.to_datetime(days["day"])
    for name, hours in (("begin", 0), ("noon", 12)):
        moment = (midnight + pd.Timedelta(hours=hours)).dt.tz_localize("America/New_York")
        days[name] = moment.dt.tz_convert("UTC")
    folder = tmp_path_factory.mktemp("airport")
    columns = [
        "carrier", "flight", "dest", "sched_hour", "decided_at", "day", "clock_hour", "weekday", "recent_delay",
        "recent_overdue", "late15",
    ]  # fmt: skip
    flights[columns].to_parquet(folder / "flights.parquet", index=False)
    days.to_parquet(folder / "days.parquet", index=False)
    return folder


def scored(airport: Path, store: str, text: str, node: str, metric: str):
    bench = Bench(airport).write(text)
    outcome = bench.run(AS_OF, store=store)
    assert outcome.outcomes[node][0] == "promoted", outcome.outcomes
    found = audit_release(open_stored(str(airport / store), None)).found
    return bench.version(node, store).verdict["challenger"][metric], found


def test_a_day_that_reads_its_own_flights_is_refused_when_it_begins(airport: Path) -> None:
    bench = Bench(airport).write(MANIFEST.format(moment="begin", edge="missing: drop"))
    outcome = bench.run(AS_OF, store="refused")
    word, because = outcome.outcomes["badday"]
    assert word == "blocked"
    assert "no row finds a row of late15" in because
    assert "decided no later" in because


def test_what_the_look_ahead_would_report_and_what_is_left_of_it_at_noon(airport, monkeypatch) -> None:
    text = MANIFEST.format(moment="noon", edge="missing: nan, coverage: 0%")
    honest, found = scored(airport, "noon", text, "badday", "r2")
    assert found.proven
    begin = MANIFEST.format(moment="begin", edge="missing: nan, coverage: 0%")
    every = lambda table, _: np.full(table.n_rows, np.iinfo(np.int64).min // 2)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(edges, "available_from", every)
        leaked, found = scored(airport, "ahead", begin, "badday", "r2")
    assert {(one.leak, one.node, one.upstream) for one in found.violations} == {
        ("availability", "badday", "late15")
    }
    assert leaked > 0.5
    assert honest < leaked - 0.3


def test_what_a_column_that_saw_the_labels_would_report_and_what_is_left_of_it(airport, monkeypatch) -> None:
    honest, found = scored(airport, "honest", STACK, "late", "roc_auc")
    assert found.proven
    fits = Candidate.column_fits

    def in_sample(self, context):
        if self.node != "number":
            return fits(self, context)
        return {Before(self.cut): sorted(self.data.rows)}

    with monkeypatch.context() as patch:
        patch.setattr(Candidate, "column_fits", in_sample)
        leaked, found = scored(airport, "in-sample", STACK, "late", "roc_auc")
    leaks = {(one.leak, one.node, one.upstream) for one in found.violations}
    assert leaks == {("label", "number", None), ("label", "late", "number"), ("label", "late", None)}
    assert leaked > 0.9
    assert honest < 0.8
