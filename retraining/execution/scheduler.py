"""Which task runs next, as a state machine without I/O: events in, commands out (docs/design.md 12).

Ready tasks wait in one queue, the longest remaining path first, ties by the order of arrival. Where
another run works on the same, each run takes the nodes in an order of its own, so that they meet
less often. Small tasks are batched by learned costs. A worker that died costs its batch: its tasks then run one by one;
a single task has three attempts and then fails as itself; one that used up the memory has one more, with twice
the room. A machine that was lost is nobody's fault.

Invariants (see `validate`): a task is in exactly one of queue, flight or done; late answers of an
attempt that was given up are ignored.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from retraining.execution.tasks import Batch, BatchResult, Task, TaskResult
from retraining.store.packs import pack_key

#: Longest and shortest batch, in estimated seconds.
MAX_BATCH_SECONDS = 2.0
MIN_BATCH_SECONDS = 0.02
#: How often one task may lose its worker before it fails.
MAX_ATTEMPTS = 3
#: How many times what its model asks for a task that used up the memory is given at most.
MOST_ROOM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """Event: tasks became ready. `priority` is the longest remaining path in seconds; `group` shares rows and costs."""

    tasks: tuple[Task, ...]
    priority: float
    group: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Event: a batch was answered (or lost)."""

    result: BatchResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Event: other runs are at work, and have finished these waiting tasks."""

    done: Collection[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """Event: so many batches can run at once from now on, since machines joined or were lost."""

    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """Event: start nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Command: give this batch to a worker."""

    batch: Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Command: a task is done; tell whoever asked for it."""

    result: TaskResult


Event = Added | Finished | Shared | Resized | Stopped
Command = Submit | Deliver


@dataclass(slots=True)
class _Entry:
    task: Task
    group: str
    attempts: int = 0
    alone: bool = False  # its batch lost its worker: it may be the one that did it
    room: int = 1  # times what its model asks for


@dataclass(slots=True)
class Scheduler:
    """The queue, what is in flight, and what each group's tasks have cost so far.

    `slots` is the number of batches that run at once now; `run` names the packs.
    """

    run: str
    slots: int
    # (-priority, place among equals, arrival, task id)
    queue: list[tuple[float, int, int, str]] = field(default_factory=list)
    entries: dict[str, _Entry] = field(default_factory=dict)  # every task that is not done
    flight: dict[str, Batch] = field(default_factory=dict)  # batch id -> batch
    done: int = 0
    stopped: bool = False
    mixed: bool = False  # other runs are at work
    most: int = 0  # slots that there ever were
    _arrival: int = 0
    _batches: int = 0
    _costs: dict[str, float] = field(default_factory=dict)  # group -> seconds of a task, moving average
    _left: Counter[str] = field(default_factory=Counter)  # group -> tasks that are not done

    def handle(self, event: Event) -> list[Command]:
        """Takes one event and answers with what has to be done now."""
        commands: list[Command] = []
        if isinstance(event, Added):
            self._add(event)
        elif isinstance(event, Finished):
            commands += self._finish(event.result)
        elif isinstance(event, Shared):
            commands += self._share(event.done)
        elif isinstance(event, Resized):
            self.slots = event.slots
        else:
            self.stopped = True
        return commands + list(self._dispatch())

    @property
    def waiting(self) -> int:
        """The number of tasks that no worker has yet."""
        return len(self.queue)

    @property
    def idle(self) -> bool:
        """True where nothing is in flight and nothing will be started."""
        return not self.flight and (self.stopped or not self.queue)

    def queued(self) -> list[Task]:
        """The tasks that no worker has yet."""
        return [self.entries[task].task for *_, task in self.queue]

    def under_way(self) -> list[Task]:
        """The tasks that workers have."""
        return [task for batch in self.flight.values() for task in batch.tasks]

    def seconds_left(self) -> float:
        """Estimated seconds of work in queue and flight."""
        return sum(count * self._costs.get(group, 0.1) for group, count in self._left.items())

    def validate(self) -> None:
        """Raises `AssertionError` where an invariant of the module's docstring does not hold."""
        queued = [task for *_, task in self.queue]
        flying = [task.id for task in self.under_way()]
        assert len(set(queued)) == len(queued), "a task is queued twice"
        assert not set(queued) & set(flying), "a task is both queued and in flight"
        assert set(queued) | set(flying) == set(self.entries), "a task is lost"
        assert len(self.flight) <= self.most, "more batches than there were ever slots"
        left = Counter(entry.group for entry in self.entries.values())
        assert left == +self._left, "the work that is left is miscounted"

    def _add(self, event: Added) -> None:
        if event.seconds is not None:
            self._costs.setdefault(event.group, event.seconds)
        for task in event.tasks:
            if task.id in self.entries:
                continue
            self.entries[task.id] = _Entry(task, event.group)
            self._left[event.group] += 1
            self._push(task, event.priority)

    def _push(self, task: Task, priority: float) -> None:
        self._arrival += 1
        heapq.heappush(self.queue, self._place(task, priority, self._arrival))

    def _place(self, task: Task, priority: float, arrival: int) -> tuple[float, int, int, str]:
        if not self.mixed or not 0 < priority < math.inf:
            return -priority, 0, arrival, task.id
        # paths of about the same length are equals, in an order that depends on the run; nodes stay together
        own = hashlib.sha256(f"{self.run} {task.node}".encode()).digest()
        return -(2.0 ** round(math.log2(priority))), int.from_bytes(own[:6], "big"), arrival, task.id

    def _share(self, done: Collection[str]) -> Iterable[Command]:
        self.mixed = True
        waiting = [place for place in self.queue if place[3] not in done]
        found = [place[3] for place in self.queue if place[3] in done]
        self.queue = [
            self._place(self.entries[task].task, -priority, arrival) for priority, _, arrival, task in waiting
        ]
        heapq.heapify(self.queue)
        for task in found:
            self._settle(task)
            yield Deliver(result=TaskResult(id=task, shared=True))

    def _finish(self, result: BatchResult) -> Iterable[Command]:
        batch = self.flight.pop(result.batch.id, None)
        if batch is None:
            return
        if result.lost is not None:
            if result.machine_lost:
                self._requeue(batch.tasks)  # no task did that: nobody is charged
            else:
                yield from self._lost(batch, result.lost, result.out_of_memory)
            return
        answered = set()
        for one in result.results:
            entry = self._settle(one.id)
            answered.add(one.id)
            seconds = max(one.ended - one.started, 0.0)
            known = self._costs.get(entry.group)
            self._costs[entry.group] = seconds if known is None else 0.5 * known + 0.5 * seconds
            yield Deliver(result=one)
        self._requeue([task for task in batch.tasks if task.id not in answered])

    def _lost(self, batch: Batch, why: str, out_of_memory: bool) -> Iterable[Command]:
        if len(batch.tasks) > 1:
            # nobody is charged yet: each alone will show which task it was
            for task in batch.tasks:
                self.entries[task.id].alone = True
            self._requeue(batch.tasks)
            return
        task = batch.tasks[0]
        entry = self.entries[task.id]
        entry.attempts += 1
        if entry.room < MOST_ROOM if out_of_memory else entry.attempts < MAX_ATTEMPTS:
            entry.room += out_of_memory
            entry.alone = True
            self._requeue([task])
            return
        self._settle(task.id)
        yield Deliver(result=TaskResult(id=task.id, error=f"its worker died {entry.attempts} times: {why}"))

    def _settle(self, task: str) -> _Entry:
        entry = self.entries.pop(task)
        self._left[entry.group] -= 1
        self.done += 1
        return entry

    def _requeue(self, tasks: Iterable[Task]) -> None:
        for task in tasks:
            self._push(task, math.inf)

    def _dispatch(self) -> Iterable[Command]:
        self.most = max(self.most, self.slots)
        while not self.stopped and self.queue and len(self.flight) < self.slots:
            batch = self._next_batch()
            self.flight[batch.id] = batch
            yield Submit(batch=batch)

    def _next_batch(self) -> Batch:
        # guided self-scheduling: the less is left, the smaller the batches, so that workers end together
        budget = max(MIN_BATCH_SECONDS, min(MAX_BATCH_SECONDS, self.seconds_left() / (4 * self.slots)))
        tasks: list[Task] = []
        group = ""
        spent = 0.0
        while self.queue:
            entry = self.entries[self.queue[0][3]]
            cost = self._costs.get(entry.group)
            if tasks and (entry.alone or entry.group != group or cost is None or spent + cost > budget):
                break
            heapq.heappop(self.queue)
            tasks.append(entry.task)
            group, spent = entry.group, spent + (budget if cost is None else cost)
            if cost is None or entry.alone:
                break
        self._batches += 1
        return Batch(
            id=f"{self._batches:06d}",
            tasks=tuple(tasks),
            pack=pack_key(self.run, self._batches, attempt=1),
            room=max(self.entries[task.id].room for task in tasks),
        )
