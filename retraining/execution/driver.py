"""The driver: demands every node, runs the tasks that flows ask for, and feeds the answers back.

A loop of three phases: wait for any batch, deliver its results, start what became ready. It owns
retries (in the scheduler) and the moment when the backend is started: a run whose fits are all in
the store starts none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retraining.errors import StoreError
from retraining.execution.backends import Backend
from retraining.execution.engine import open_flow
from retraining.execution.flows import Flows, Key
from retraining.execution.journal import Journal
from retraining.execution.keys import Chosen, Done, MeasureOf, ProfilesOf, Settle, Ship
from retraining.execution.scheduler import (
    Added,
    Deliver,
    Finished,
    Resized,
    Scheduler,
    Shared,
    Stopped,
    Submit,
)
from retraining.execution.study import NodeResult, ReleaseSet, Study, World
from retraining.execution.tasks import BatchResult, FitTask, ProfileTask, ScoreTask, Task, TaskResult
from retraining.manifest.values import Dataset, Json
from retraining.store.results import ResultIndex

#: How long an interrupted run waits for the batches in flight.
STOP_GRACE_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One task that ran, for timelines: seconds since the epoch on the worker's clock."""

    node: str
    fit: str
    kind: str
    worker: str
    started: float
    ended: float
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands, for whoever shows it."""

    nodes: int
    judged: int
    tasks_done: int
    tasks_waiting: int
    running: tuple[str, ...]
    seconds_left: float
    fits_made: int


@dataclass(slots=True, kw_only=True)
class Execution:
    """What a run did: each node's result, and what ran where.

    Of the fits made, `fits_again` had been begun before: by a run that was cut off, by a worker that
    died, or in a pack that turned out to be damaged. `unmeasured` says why champions could not be measured.
    """

    results: dict[str, NodeResult] = field(default_factory=dict)
    chosen: ReleaseSet = field(default_factory=ReleaseSet)
    timeline: list[Ran] = field(default_factory=list)
    interrupted: bool = False
    fatal: StoreError | None = None
    fits_made: int = 0
    fits_again: int = 0
    slots: int = 0
    unmeasured: dict[str, str] = field(default_factory=dict)


class Driver:
    """Executes a plan on a backend that is opened when the first task is ready.

    `progress` is called after every change; `stop_asked` ends the run at the next turn. `journal`
    is told what happens, and tells what other runs finish meanwhile; `begun` are the fingerprints of
    fits that were under way when an earlier run was cut off.
    """

    def __init__(
        self,
        world: World,
        datasets: Mapping[str, Dataset],
        results: ResultIndex,
        open_backend: Callable[[], Backend],
        *,
        run: str,
        journal: Journal,
        begun: Collection[str] = (),
        stop_asked: Callable[[], bool] = lambda: False,
        progress: Callable[[Progress], None] = lambda _: None,
        finished: Callable[[NodeResult], None] = lambda _: None,
    ) -> None:
        self._world = world
        self._datasets = datasets
        self._results = results
        self._open_backend = open_backend
        self._run_id = run
        self._journal = journal
        self._begun = begun
        self._lost: set[str] = set()
        self._stop_asked = stop_asked
        self._progress = progress
        self._finished = finished
        self._backend: Backend | None = None
        self._scheduler: Scheduler | None = None
        self._arrays: dict[str, NDArray[np.generic]] = {}
        self._added: list[Added] = []
        self._tasks: dict[str, Task] = {}
        self._judged = 0
        self._made: set[tuple[str, str]] = set()
        self.execution = Execution()
        self._study = Study(world, results, self._submit, self._put_array, self._made)
        self._columns = self._study.columns
        self._flows = Flows(lambda key: open_flow(self._study, key))

    def run(self) -> Execution:
        """Runs until every node has its result, or until it is stopped."""
        nodes = [node.name for node in self._world.graph.nodes]
        self._work([key for node in nodes for key in (Settle(node=node), Ship(node=node))] + [Chosen()])
        for node in nodes:
            key = Settle(node=node)
            if key in self._flows and (
                self._flows[key].outcome != "promoted" or Ship(node=node) in self._flows
            ):
                self.execution.results[node] = self._flows[key]
        if Chosen() in self._flows:
            self.execution.chosen = self._flows[Chosen()]
        return self.execution

    def measure(self) -> Execution:
        """Measures the champions that the world has orders for, profiles inputs, and decides nothing."""
        keys: list[MeasureOf | ProfilesOf] = [MeasureOf(node=node) for node in self._world.orders]
        keys += [ProfilesOf(node=node) for node in self._world.profiled]
        self._work(keys)
        for key in keys:
            if key in self._flows and self._flows[key] is not None:
                self.execution.unmeasured[key.node] = self._flows[key]
        return self.execution

    def _work(self, keys: Sequence[Key]) -> None:
        try:
            for key in keys:
                self._flows.demand(key)
            while self._turn():
                pass
            self._note_judged()
        finally:
            # the journal first: a job that is stopped has three seconds, and Ray's end takes some of them
            try:
                self._journal.close([] if self._scheduler is None else self._scheduler.under_way())
            finally:
                if self._backend is not None:
                    self._backend.close()

    # -- what flows ask for ------------------------------------------------------------------------

    def _submit(self, task: Task, group: str, priority: float) -> None:
        if task.id not in self._tasks:
            self._tasks[task.id] = task
            self._added.append(Added(tasks=(task,), priority=priority, group=group))

    def _put_array(self, key: str, values: NDArray[np.generic]) -> None:
        if self._backend is not None:
            self._backend.put_array(key, values)
        else:
            self._arrays[key] = values

    # -- the loop ----------------------------------------------------------------------------------

    def _turn(self) -> bool:
        """One turn of the loop; False when nothing is left to do."""
        self._note_judged()
        if self._stop_asked():
            self._end_early()
            return False
        if self._added:
            scheduler = self._started()
            added, self._added = self._added, []
            for event in added:
                self._carry_out(scheduler.handle(event))
        if self._scheduler is None or self._scheduler.idle:
            return bool(self._added)
        backend, scheduler = self._backend, self._scheduler
        assert backend is not None
        self._tell(scheduler)
        self._share(scheduler)
        for result in backend.finished(timeout_seconds=0.25):
            self._take(scheduler, result)
        if backend.slots != scheduler.slots:
            self.execution.slots = max(self.execution.slots, backend.slots)
            self._carry_out(scheduler.handle(Resized(slots=backend.slots)))
        return not self.execution.fatal

    def _started(self) -> Scheduler:
        """The scheduler, with the backend opened and given what it needs."""
        if self._backend is None or self._scheduler is None:
            self._backend = self._open_backend()
            self._scheduler = Scheduler(run=self._run_id, slots=self._backend.slots)
            self.execution.slots = self._backend.slots
            for model in self._world.manifest.models.values():
                if model.partition_by:  # sorted here once, and not by every worker
                    self._world.tables[model.dataset].groups(model.partition_by)
            for name, table in sorted(self._world.tables.items()):
                self._backend.put_table(self._datasets[name], table)
            for key, values in self._arrays.items():
                self._backend.put_array(key, values)
            self._arrays.clear()
        return self._scheduler

    def _share(self, scheduler: Scheduler) -> None:
        """Writes down what is due, and takes up what other runs finished; they need not do it, nor we."""
        found = self._journal.turn(scheduler.under_way())
        if found:
            self._results.add(found)
            done = {task.id for task in scheduler.queued() if self._finished_elsewhere(task)}
            self._carry_out(scheduler.handle(Shared(done=done)))

    def _finished_elsewhere(self, task: Task) -> bool:
        if not isinstance(task, FitTask) or self._study.forced(task.node):
            return False
        fit = self._results.find("fit", task.fingerprint)
        kept = not task.keep_model or (fit is not None and fit.blob("model") is not None)
        return kept and all(self._results.find("column", piece.fingerprint) for piece in task.pieces)

    def _take(self, scheduler: Scheduler, result: BatchResult) -> None:
        if result.fatal is not None:
            self.execution.fatal = result.fatal
            return
        if result.lost is not None:
            self._lost |= {task.id for task in result.batch.tasks}
            labels: list[Json] = [task.label for task in result.batch.tasks]
            what = "machine lost" if result.machine_lost else "worker lost"
            self._journal.note(what, why=result.lost, tasks=labels)
        self._columns.keep(result.columns)
        records = [record for one in result.results for record in one.records]
        if records:
            self._journal.packed(result.batch.pack, records)
            self._results.add(records, replace=True)
            self._made |= {(record.action, record.fingerprint) for record in records}
        self._carry_out(scheduler.handle(Finished(result=result)))

    def _carry_out(self, commands: Sequence[Submit | Deliver]) -> None:
        assert self._backend is not None
        for command in commands:
            if isinstance(command, Submit):
                self._backend.submit(command.batch)
            else:
                self._deliver(command.result)

    def _deliver(self, result: TaskResult) -> None:
        task = self._tasks[result.id]
        if not result.shared:
            ran = _ran(task, result)
            self.execution.timeline.append(ran)
            seconds = round(ran.ended - ran.started, 3)
            self._journal.note(
                ran.kind, node=ran.node, fit=ran.fit, worker=ran.worker, seconds=seconds, error=ran.error
            )
            if isinstance(task, FitTask) and task.model is None and result.error is None:
                self.execution.fits_made += 1
                self.execution.fits_again += self._begun_before(task)
        self._flows.feed(Done(task=result.id), result)

    def _begun_before(self, task: FitTask) -> bool:
        """True for a fit that was lost once, in this run or another, and is made again."""
        fingerprints = {task.fingerprint, *(piece.fingerprint for piece in task.pieces)}
        return (
            task.fingerprint in self._begun
            or task.id in self._lost
            or not fingerprints.isdisjoint(self._results.discarded)
        )

    def _end_early(self) -> None:
        self.execution.interrupted = True
        self._added.clear()
        if self._backend is None or self._scheduler is None:
            return
        self._scheduler.handle(Stopped())
        for result in self._backend.stop(STOP_GRACE_SECONDS):
            self._take(self._scheduler, result)

    # -- telling -----------------------------------------------------------------------------------

    def _note_judged(self) -> None:
        for key in self._flows.settled():
            if isinstance(key, Settle):
                self._judged += 1
                result: NodeResult = self._flows[key]
                self._journal.note("judged", node=key.node, outcome=result.outcome, because=result.because)
                self._finished(result)

    def _tell(self, scheduler: Scheduler) -> None:
        running = sorted({task.node for batch in scheduler.flight.values() for task in batch.tasks})
        self._progress(
            Progress(
                nodes=len(self._world.graph),
                judged=self._judged,
                tasks_done=scheduler.done,
                tasks_waiting=scheduler.waiting,
                running=tuple(running),
                seconds_left=scheduler.seconds_left() / max(scheduler.slots, 1),
                fits_made=self.execution.fits_made,
            )
        )


def _ran(task: Task, result: TaskResult) -> Ran:
    return Ran(
        node=task.node,
        fit=_kind(task) if not isinstance(task, FitTask) else str(task.left_out),
        kind=_kind(task),
        worker=result.worker,
        started=result.started,
        ended=result.ended,
        error=result.error,
    )


def _kind(task: Task) -> str:
    if isinstance(task, FitTask):
        return task.kind
    if isinstance(task, ProfileTask):
        return "profile"
    return "score" if isinstance(task, ScoreTask) else "measure"


__all__ = ["Driver", "Execution", "Progress", "Ran"]
