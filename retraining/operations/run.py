"""Carries a plan out: trains, judges, releases, and writes down what happened.

It reads like the picture in docs/architecture.md: look, plan, execute, conclude, commit, record.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from retraining.data.declarations import declaration_of
from retraining.decide.calendar import iso_of
from retraining.errors import InputError, InterruptedRunError, StoreError
from retraining.execution.addresses import check_address
from retraining.execution.backends import Backend
from retraining.execution.driver import Driver, Execution, Progress
from retraining.execution.journal import Journal, Pace
from retraining.execution.study import NodeResult
from retraining.learn.permitted import permitted
from retraining.manifest.given import given_data, given_moment, given_path, given_text, given_texts
from retraining.manifest.values import Json
from retraining.operations.backend import backend_for
from retraining.operations.conclude import Conclusion, conclude
from retraining.operations.idle import manifest_of, settle_idle
from retraining.operations.measuring import measure_champions
from retraining.operations.outcome import RunOutcome
from retraining.operations.people import because_of, named_briefly, refuse_half, who_am_i
from retraining.operations.prune import prune as prune_orphans
from retraining.operations.record import exit_code_of, run_record
from retraining.operations.session import Quiet, Request, Session, open_plan
from retraining.operations.world import world_of
from retraining.release.update import requirements
from retraining.store.entries import ResultsBase
from retraining.store.log import Head, Store
from retraining.store.results import MOST_SEGMENTS, ResultIndex, load_results, merge_results
from retraining.store.runs import new_run_id, outcome_key, run_key


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How to run. `workers` is how many batches run at once (None: one for each core of machine or cluster).

    `address` is `local` for a Ray of the run's own, `auto` or HOST:PORT for a running cluster of which this machine
    is a part. `wait_for_nodes` is how many seconds a run waits for a node that can give what a model asks for.

    `pace` says how often a run writes down where it stands and looks for what other runs finished.
    `allow` names packages that the manifest's own estimators and metrics may come from, `allow_joblib` says that
    models which nothing safer can hold may be stored by joblib; both add to what the environment allows
    (RETRAINING_ALLOW, RETRAINING_ALLOW_JOBLIB).
    """

    backend: Literal["ray", "serial"] = "ray"
    workers: int | None = None
    address: str = "local"
    wait_for_nodes: float = 0.0
    pace: Pace = field(default_factory=Pace)
    allow: tuple[str, ...] = ()
    allow_joblib: bool = False

    def __post_init__(self) -> None:
        """Raises `InputError` for an address that no run can use, or that this backend does not."""
        check_address(self.address)
        if self.backend == "serial" and self.address != "local":
            raise InputError(
                f"--backend serial runs in this process, and --address {self.address} is a cluster",
                "leave out one of them",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
    """Who is told while a run goes on; each is called by the run's own thread.

    `stop_asked` ends the run soon; `interruptible` wraps each fit that runs in this process (the
    serial backend), and a KeyboardInterrupt inside it gives up that fit alone. `said` is told in a line what else
    happens: nodes of a cluster that join, or are lost.
    """

    planned: Callable[[Session | Quiet], None] = lambda _: None
    progress: Callable[[Progress], None] = lambda _: None
    finished: Callable[[NodeResult], None] = lambda _: None
    said: Callable[[str], None] = lambda _: None
    stop_asked: Callable[[], bool] = lambda: False
    interruptible: Callable[[], AbstractContextManager[None]] = nullcontext


def run(
    manifest: str | Path,
    *,
    store: str | None = None,
    as_of: str | dt.date | None = None,
    select: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    force: tuple[str, ...] = (),
    compare_inputs: tuple[str, ...] = (),
    data: Mapping[str, str] | None = None,
    max_fits: int | None = None,
    prune: bool = False,
    options: RunOptions | None = None,
    watcher: Watcher | None = None,
) -> RunOutcome:
    """What became of one run of a manifest; the release is committed when it returns.

    Of the nodes that `compare_inputs` selects it is measured what each input brings, whether they are due or not.
    A plan of more than `max_fits` fits (default 10,000) is refused before anything starts. `prune` forgets
    nodes that left the manifest or the data, in a release of its own.
    Raises `InputError`, `StoreError`, `ReleaseConflictError`, `CommitOutcomeUnknownError`, or
    `InterruptedRunError` when it was stopped (every finished fit is kept).
    """
    options, watcher = options or RunOptions(), watcher or Watcher()
    request = Request(
        manifest=given_path(manifest, "the manifest"),
        store=None if store is None else given_text(store, "the store"),
        select=given_texts(select, "select"),
        exclude=given_texts(exclude, "exclude"),
        force=given_texts(force, "force"),
        compare=given_texts(compare_inputs, "compare_inputs"),
        as_of=given_moment(as_of, "as_of"),
        data=given_data(data),
        permissions=permitted(options.allow, joblib=options.allow_joblib),
        max_fits=max_fits,
    )
    session, outcome = run_request(request, options, watcher)
    return _pruned(session, outcome) if prune else outcome


def run_request(
    request: Request, options: RunOptions, watcher: Watcher
) -> tuple[Session | Quiet, RunOutcome]:
    """What was seen, and what became of it; errors as `run`."""
    started = time.time()
    session = open_plan(
        request,
        dt.datetime.now(dt.UTC),
        create_store=True,
        measure=lambda session: measure_champions(session, options, watcher),
    )
    watcher.planned(session)
    if isinstance(session, Quiet) or session.plan.idle:
        return session, settle_idle(session, started)
    assert session.store is not None
    return session, carry_out(session, session.store, options, watcher, started)


def _pruned(session: Session | Quiet, outcome: RunOutcome) -> RunOutcome:
    """The outcome after what is not planned any more was forgotten."""
    assert session.store is not None
    found = prune_orphans(session.store, outcome.outcomes.keys(), manifest_of(session))
    return replace(outcome, after=found.after, pruned=found.nodes, stay=found.stay)


def carry_out(
    session: Session,
    store: Store,
    options: RunOptions,
    watcher: Watcher,
    started: float,
    run_id: str | None = None,
) -> RunOutcome:
    """What became of a plan that has work; errors as `run`. `run_id` is the run's name where it has one already."""
    # before anything is paid for that such a store could lose
    store.objects.verify_exclusion()
    # nor on labels that a power cut can take back
    store.objects.settle("feedback/")
    run_id = run_id or new_run_id(int(started * 1000), os.urandom(4))
    with backend_for(session, store, options, watcher) as open_backend:
        index = load_results(store.objects, _results_base(session.head), store.keys)
        journal = Journal(store.objects, run_id, pace=options.pace, loose=index.loose, keys=store.keys)
        store.create_json(run_key(run_id), _run_document(session, run_id, started))
        try:
            execution = _execute(session, store, run_id, index, journal, open_backend, watcher)
            return _finish(session, store, run_id, execution, index, options, started)
        finally:
            journal.end()


def _execute(
    session: Session,
    store: Store,
    run_id: str,
    index: ResultIndex,
    journal: Journal,
    open_backend: Callable[[], Backend],
    watcher: Watcher,
) -> Execution:
    """What the driver did; `StoreError` or `InterruptedRunError` where it did not come to its end."""
    observation = session.observation
    driver = Driver(
        world_of(session, store),
        observation.datasets,
        index,
        open_backend,
        run=run_id,
        journal=journal,
        begun=journal.begin(),
        stop_asked=watcher.stop_asked,
        progress=watcher.progress,
        finished=watcher.finished,
    )
    execution = driver.run()
    if execution.fatal is not None:
        raise execution.fatal
    if execution.interrupted:
        raise InterruptedRunError(
            "stopped before the end; every finished fit is kept",
            "run the same command again: it continues with what is missing",
        )
    return execution


def _finish(
    session: Session,
    store: Store,
    run_id: str,
    execution: Execution,
    index: ResultIndex,
    options: RunOptions,
    started: float,
) -> RunOutcome:
    graph = session.observation.graph
    now = iso_of(time.time())
    conclusion = conclude(
        graph,
        execution.results,
        execution.chosen,
        session.head.nodes,
        index,
        store.objects,
        declarations=_declarations(session),
        run=run_id,
        now=now,
        as_of=session.plan.as_of,
    )
    refuse_half(session.promoted, conclusion.outcomes)
    merged = _merged(session, store, run_id, index)
    after = _commit(session, store, run_id, conclusion, now, merged)
    record = run_record(session, run_id, execution, conclusion, after, options.backend, started, time.time())
    _keep_record(store, run_id, record, after)
    counts = _counts(conclusion)
    return RunOutcome(
        run=run_id,
        outcomes=conclusion.outcomes,
        before=session.head,
        after=after,
        record=record,
        exit_code=exit_code_of(counts),
        seconds=time.time() - started,
        fits_made=execution.fits_made,
        fits_reused=_reused(execution),
        fits_again=execution.fits_again,
        counts=counts,
    )


def _keep_record(store: Store, run_id: str, record: Mapping[str, Json], after: Head) -> None:
    try:
        store.put_json(outcome_key(run_id), record)
    except StoreError as error:
        raise StoreError(
            f"release {after.release} stands, but the record of run {run_id} could not be kept: {error.message}",
            error.next_step,
        ) from error


def _merged(session: Session, store: Store, run_id: str, index: ResultIndex) -> ResultsBase | None:
    """A merge of the result segments where there are many; one that fails costs nothing but later reads."""
    if index.unmerged > MOST_SEGMENTS:
        with suppress(StoreError):
            return merge_results(store.objects, run_id, _results_base(session.head), store.keys)
    return None


def _results_base(head: Head) -> ResultsBase | None:
    return None if head.entry is None else head.entry.results


def _commit(
    session: Session,
    store: Store,
    run_id: str,
    conclusion: Conclusion,
    now: str,
    results: ResultsBase | None,
) -> Head:
    update = conclusion.update
    edges = [(edge.upstream, edge.downstream) for edge in session.observation.graph.edges]
    promoted = [node for node, (outcome, _) in conclusion.outcomes.items() if outcome == "promoted"]
    return store.commit(
        update,
        requirements(update, session.head.nodes, edges),
        kind="release" if update.serves_otherwise else "state",
        run=run_id,
        who=who_am_i(),
        why={
            "outcomes": dict(_counts(conclusion)),
            "reasons": _reason_kinds(session),
            "nodes": named_briefly(promoted),
            "count": len(promoted),
            **because_of(session.promoted),
        },
        manifest=manifest_of(session),
        now=now,
        start=session.head,
        results=results,
        feedback_through=session.observation.feedback.through,
    )


def _declarations(session: Session) -> dict[str, Json]:
    """What serving must know of each dataset, so that a store alone can predict."""
    seen = session.observation
    return {
        name: declaration_of(session.manifest, seen.datasets[name], table)
        for name, table in seen.tables().items()
    }


def _run_document(session: Session, run_id: str, started: float) -> dict[str, Json]:
    return {
        "run": run_id,
        "who": who_am_i(),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "manifest": {"name": session.manifest.name, "digest": session.manifest.digest},
        "as_of": session.plan.as_of,
        "feedback_through": session.observation.feedback.through,
        "started": iso_of(started),
        "plan": session.plan.to_json(),
    }


def _counts(conclusion: Conclusion) -> dict[str, int]:
    counts: dict[str, int] = {}
    for outcome, _ in conclusion.outcomes.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    return dict(sorted(counts.items()))


def _reason_kinds(session: Session) -> list[Json]:
    return [*sorted({reason.kind for decision in session.plan.active for reason in decision.reasons})]


def _reused(execution: Execution) -> int:
    candidates = [result.candidate for result in execution.results.values() if result.candidate is not None]
    return sum(candidate.counts.get("reused", 0) for candidate in candidates)
