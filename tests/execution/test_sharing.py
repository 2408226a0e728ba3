"""What a run writes while it works, and what two runs at the same time, or one after the other, share."""

from __future__ import annotations

import json

import pytest
from oracle.trips import MANIFEST, trips

from retraining.errors import InterruptedRunError, ReleaseConflictError
from retraining.execution.journal import Pace
from retraining.operations.run import RunOptions, Watcher, run
from retraining.store.results import load_results
from retraining.store.runs import living_runs

pytestmark = pytest.mark.slow

AS_OF = "2024-05-01T00:00:00Z"
ALWAYS = Pace(write=0.0, look=0.0, alive=0.0)
NEVER = Pace(write=1e9, look=1e9, alive=1e9)


@pytest.fixture
def ready(bench):
    hours, frame = trips(n=300, days=80)
    return bench.write(MANIFEST, hours=hours, trips=frame)


def started(bench, pace, watcher=None, store="store"):
    return run(
        bench.folder / "m.yaml",
        store=str(bench.folder / store),
        as_of=AS_OF,
        options=RunOptions(backend="serial", pace=pace),
        watcher=watcher,
    )


def keys(bench, prefix):
    return [info.key for info in bench.store().objects.list(prefix)]


def stopped_after(bench, turns, pace):
    asked = iter(range(10_000))
    with pytest.raises(InterruptedRunError):
        started(bench, pace, Watcher(stop_asked=lambda: next(asked) > turns))


def events(bench):
    objects = bench.store().objects
    lines = [json.loads(line) for key in keys(bench, "runs/") if "/events/" in key
             for line in objects.get(key).splitlines()]  # fmt: skip
    return [line for line in lines if "event" in line], [line for line in lines if "format" in line]


def test_segments_events_and_a_sign_of_life_are_written_while_the_run_goes_on(ready):
    seen = []

    def progress(_):
        objects = ready.store().objects
        new = next((info for info in objects.list("store.json")), None)
        seen.append((len(keys(ready, "results/")), len(living_runs(objects, new.modified))))

    outcome = started(ready, ALWAYS, Watcher(progress=progress))
    segments = [number for number, _ in seen]
    assert segments[-1] > 3
    assert segments == sorted(segments)
    assert {living for _, living in seen} == {1}
    objects = ready.store().objects
    assert living_runs(objects, next(objects.list("store.json")).modified) == frozenset()
    happened, firsts = events(ready)
    assert [one["outcome"] for one in happened if one["event"] == "judged"] == ["promoted"] * 3
    assert all(first["run"] == outcome.run for first in firsts)
    fits = [one for one in happened if one["event"] in ("gate", "block", "shipped", "comparison")]
    assert len(fits) == outcome.fits_made


def test_a_run_on_a_quiet_clock_writes_one_segment_that_names_all_its_packs(ready):
    started(ready, NEVER)
    assert len(keys(ready, "results/")) == 1
    # the documents and what they name are written after it; the next run takes them up, and reads no footer again
    loose = [key.rpartition("/")[2] for key in load_results(ready.store().objects).loose]
    assert loose == ["documents-1", "rows-1"]


@pytest.mark.parametrize("turns", [2, 7, 12])
def test_two_runs_at_the_same_time_share_every_fit(ready, turns):
    alone = started(ready, NEVER, store="alone")
    other = []

    def progress(now):
        if len(other) == 0 and now.tasks_done >= turns:
            other.append(None)
            other[0] = started(ready, ALWAYS)

    with pytest.raises(ReleaseConflictError, match="since this command read the store"):
        started(ready, ALWAYS, Watcher(progress=progress))
    assert other[0].after.logical() == alone.after.logical()
    made = [one for one in events(ready)[0] if one["event"] in ("gate", "block", "shipped", "comparison")]
    # the fits that the first run had in hand while the second one ran may be made by both
    assert alone.fits_made <= len(made) <= alone.fits_made + 8
    assert other[0].fits_made < alone.fits_made
    assert started(ready, ALWAYS).fits_made == 0


def test_a_forced_fit_is_made_whatever_others_have_finished(ready):
    started(ready, ALWAYS)
    again = run(
        ready.folder / "m.yaml",
        store=str(ready.folder / "store"),
        as_of=AS_OF,
        force=("weather",),
        options=RunOptions(backend="serial", pace=ALWAYS),
    )
    assert again.fits_made > 0


@pytest.mark.parametrize("turns", [3, 8, 15])
def test_a_stopped_run_continues_and_no_finished_fit_is_made_again(ready, turns):
    alone = started(ready, NEVER, store="alone")
    stopped_after(ready, turns, ALWAYS)
    happened, firsts = events(ready)
    finished = sum(one["event"] != "judged" and one["fit"] != "score" for one in happened)
    resumed = started(ready, ALWAYS)
    assert resumed.after.logical() == alone.after.logical()
    assert resumed.fits_made == alone.fits_made - finished
    # those of the batch that was given up
    assert resumed.record["fits"]["again"] == resumed.fits_again == len(firsts[-1]["under_way"])


def test_fits_that_were_under_way_when_a_run_was_killed_are_counted_as_made_again(ready):
    class Killed(BaseException):
        pass

    def progress(now):
        if now.tasks_done >= 6:
            raise Killed

    with pytest.raises(Killed):
        started(ready, ALWAYS, Watcher(progress=progress))
    resumed = started(ready, ALWAYS)
    assert resumed.fits_again >= 1
    assert started(ready, ALWAYS, store="alone").after.logical() == resumed.after.logical()


def test_what_was_under_way_is_known_over_runs_that_were_killed_before_they_began(ready):
    class Killed(BaseException):
        pass

    def after(done):
        def progress(now):
            if now.tasks_done >= done:
                raise Killed

        return Watcher(progress=progress)

    for done in (6, 0):
        with pytest.raises(Killed):
            started(ready, ALWAYS, after(done))
    assert started(ready, ALWAYS).fits_again >= 1
