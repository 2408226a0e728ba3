"""A champion of May meets the thunderstorms of June and July at JFK, and its rule says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from retraining.decide.measures import mean_of
from retraining.operations.measured import read_measured
from retraining.operations.run import RunOptions, Watcher, run
from retraining.operations.session import Session
from tests.flights_example.test_flights import prepare

MANIFEST = """
manifest: 1
name: may
timezone: America/New_York
datasets: {flights: {path: jfk.parquet, key: [carrier, flight, dest, sched_hour], time: decided_at}}
validation: {scheme: time, blocks: 2w, holdout: 2}
models:
  late:
    dataset: flights
    target: {column: late15, known_after: 2d}
    features: [clock_hour, minute, weekday, carrier, dest]
    estimator: {type: LogisticRegression, parameters: {max_iter: 200}}
    metrics: [brier_score_loss]
    retrain_when: {performance: {max: 0.2}}
"""


@pytest.mark.slow
def test_a_champion_of_may_gets_worse_in_june_and_july(tmp_path: Path) -> None:
    source = prepare.find_source()
    if source is None:
        pytest.skip("needs the extra `flights`: pip install 'retraining[flights]'")
    flights = prepare.flights_table(prepare.read_flights(source), source)
    jfk = flights[(flights["origin"] == "JFK") & (flights["decided_at"] < "2013-09-01")]
    jfk.to_parquet(tmp_path / "jfk.parquet", index=False)
    file = tmp_path / "m.yaml"
    file.write_text(MANIFEST)
    store = str(tmp_path / "store")

    def told(day: str) -> tuple[list[str], list[float]]:
        """Why a run of that day found the champion due, and its score by block."""
        seen: list[Session] = []
        watcher = Watcher(planned=lambda one: seen.append(one) if isinstance(one, Session) else None)
        run(file, store=store, as_of=day, options=RunOptions(backend="serial"), watcher=watcher)
        (session,) = seen
        assert session.store is not None
        found = read_measured(session.store, "late", session.known.measures["late"])
        scores = [mean_of("brier_score_loss", block.measures) for block in found.mature]
        return [reason.text for reason in session.plan["late"].reasons], scores

    run(file, store=store, as_of="2013-05-28", options=RunOptions(backend="serial"))
    assert told("2013-06-13")[0] == []
    assert told("2013-06-27")[0] == []
    fired, (early, june, july) = told("2013-07-11")
    assert early < 0.17 < 0.2 < june < 0.25 < july
    (reason,) = fired
    assert reason.startswith("brier_score_loss of the champion is 0.21")
    assert "on 42 days since 2013-05-27, above 0.2" in reason
