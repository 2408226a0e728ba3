"""The scheduler as a state machine: whatever happens in whatever order, each task is answered exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from retraining.execution.scheduler import (
    MAX_ATTEMPTS,
    MAX_BATCH_SECONDS,
    Added,
    Deliver,
    Finished,
    Resized,
    Scheduler,
    Shared,
    Stopped,
    Submit,
)
from retraining.execution.tasks import Batch, BatchResult, TaskResult


@dataclass(frozen=True)
class Work:
    """As much of a task as a scheduler may know."""

    id: str
    node: str = "n"


def answered(batch, tasks=None, seconds=0.01, **more):
    done = batch.tasks if tasks is None else tasks
    results = tuple(TaskResult(id=task.id, started=0.0, ended=seconds) for task in done)
    return Finished(result=BatchResult(batch=batch, results=results, **more))


def batches(commands):
    return [command.batch for command in commands if isinstance(command, Submit)]


def delivered(commands):
    return [command.result for command in commands if isinstance(command, Deliver)]


class Machine(RuleBasedStateMachine):
    """Adds tasks, answers, loses workers and machines, stops; poisoned tasks kill every worker that runs them."""

    def __init__(self):
        super().__init__()
        self.scheduler = Scheduler(run="r", slots=3)
        self.flying: list[Batch] = []
        self.past: list[Batch] = []
        self.added: list[str] = []
        self.answers: list[TaskResult] = []
        self.packs: list[str] = []

    def take(self, event):
        commands = self.scheduler.handle(event)
        new = batches(commands)
        self.flying += new
        self.packs += [batch.pack for batch in new]
        self.answers += delivered(commands)

    @rule(
        n=st.integers(1, 6),
        group=st.sampled_from("abc"),
        priority=st.floats(0, 9),
        seconds=st.sampled_from([None, 0.001, 1.0]),
    )
    def add(self, n, group, priority, seconds):
        tasks = tuple(Work(f"{len(self.added) + i}") for i in range(n))
        self.added += [task.id for task in tasks]
        self.take(Added(tasks=tasks, priority=priority, group=group, seconds=seconds))

    @rule(data=st.data())
    def share(self, data):
        waiting = [task.id for task in self.scheduler.queued()]
        self.take(Shared(done=frozenset(data.draw(st.lists(st.sampled_from([*waiting, "no task"]))))))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), seconds=st.sampled_from([0.0, 0.005, 3.0, -1.0]))
    def answer(self, data, seconds):
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.past.append(batch)
        done = (
            batch.tasks[: data.draw(st.integers(0, len(batch.tasks)))]
            if self.scheduler.stopped
            else batch.tasks
        )
        self.take(answered(batch, done, seconds))

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def lose(self, data):
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.past.append(batch)
        self.take(Finished(result=BatchResult(batch=batch, lost="killed")))

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), left=st.integers(0, 2))
    def lose_machine(self, data, left):
        batch = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.past.append(batch)
        charged = {task: entry.attempts for task, entry in self.scheduler.entries.items()}
        self.take(Finished(result=BatchResult(batch=batch, lost="gone", machine_lost=True)))
        assert charged == {task: entry.attempts for task, entry in self.scheduler.entries.items()}
        self.take(Resized(slots=left))

    @rule(slots=st.integers(0, 4))
    def resize(self, slots):
        self.take(Resized(slots=slots))

    @precondition(lambda self: self.past)
    @rule(data=st.data())
    def answer_late(self, data):
        before = len(self.answers)
        self.take(answered(data.draw(st.sampled_from(self.past))))
        assert len(self.answers) == before

    @rule()
    def stop(self):
        if len(self.added) > 12:
            self.take(Stopped())

    @invariant()
    def nothing_is_lost(self):
        self.scheduler.validate()
        ids = [answer.id for answer in self.answers]
        assert len(set(ids)) == len(ids)
        assert set(ids) | set(self.scheduler.entries) == set(self.added)
        assert len(set(self.packs)) == len(self.packs)
        assert self.scheduler.done == len(ids)
        # work conserving: no slot is free while a task waits
        full = len(self.scheduler.flight) >= self.scheduler.slots
        assert self.scheduler.stopped or not self.scheduler.queue or full

    def teardown(self):
        if self.scheduler.stopped:
            return
        self.take(Resized(slots=3))
        for _ in range(20 * (len(self.added) + 1)):
            if not self.flying:
                break
            self.take(answered(self.flying.pop(0)))
        assert self.scheduler.idle
        assert sorted(answer.id for answer in self.answers) == sorted(self.added)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, derandomize=True, deadline=None)


def test_the_longest_remaining_path_goes_first_and_ties_by_arrival():
    scheduler = Scheduler(run="r", slots=1)
    first = scheduler.handle(Added(tasks=(Work("z"),), priority=0.0, group="g"))
    for name, priority in (("low", 1.0), ("high", 5.0), ("high too", 5.0)):
        scheduler.handle(Added(tasks=(Work(name),), priority=priority, group=name))
    order = []
    todo = batches(first)
    while todo:
        order += [task.id for task in todo[0].tasks]
        todo = batches(scheduler.handle(answered(todo[0])))
    assert order == ["z", "high", "high too", "low"]


def test_a_poisoned_task_fails_as_itself_and_its_batch_mates_do_not():
    scheduler = Scheduler(run="r", slots=1)
    scheduler.handle(Added(tasks=(Work("first"),), priority=9.0, group="g", seconds=0.001))
    todo = scheduler.handle(answered(next(iter(scheduler.flight.values())), seconds=0.001))
    todo = batches(
        scheduler.handle(Added(tasks=tuple(Work(f"{i}") for i in range(64)), priority=1.0, group="g"))
    )
    assert len(todo[0].tasks) > 1
    answers, lost = [], 0
    while todo:
        batch = todo.pop(0)
        poisoned = any(task.id == "7" for task in batch.tasks)
        lost += poisoned
        event = (
            Finished(result=BatchResult(batch=batch, lost="killed"))
            if poisoned
            else answered(batch, seconds=0.001)
        )
        commands = scheduler.handle(event)
        scheduler.validate()
        todo += batches(commands)
        answers += delivered(commands)
    errors = {answer.id: answer.error for answer in answers if answer.error}
    assert list(errors) == ["7"]
    assert f"died {MAX_ATTEMPTS} times" in errors["7"]
    assert lost <= MAX_ATTEMPTS + 1
    assert sorted(answer.id for answer in answers) == sorted(f"{i}" for i in range(64))


def test_a_machine_that_was_lost_is_no_attempt_of_what_ran_there():
    scheduler = Scheduler(run="r", slots=2)
    todo = batches(scheduler.handle(Added(tasks=(Work("a"),), priority=1.0, group="g")))
    for _ in range(3 * MAX_ATTEMPTS):
        commands = scheduler.handle(
            Finished(result=BatchResult(batch=todo[0], lost="gone", machine_lost=True))
        )
        assert delivered(commands) == []
        todo = batches(commands)
    assert [answer.error for answer in delivered(scheduler.handle(answered(todo[0])))] == [None]


def test_a_task_that_uses_up_the_memory_is_tried_once_more_with_twice_the_room_and_then_fails():
    scheduler = Scheduler(run="r", slots=1)
    todo = batches(scheduler.handle(Added(tasks=(Work("a"),), priority=1.0, group="g")))
    rooms, answers = [], []
    while todo:
        rooms.append(todo[0].room)
        event = Finished(result=BatchResult(batch=todo[0], lost="no memory", out_of_memory=True))
        commands = scheduler.handle(event)
        todo, answers = batches(commands), delivered(commands)
    assert rooms == [1, 2]
    assert [answer.error for answer in answers] == ["its worker died 2 times: no memory"]


def test_the_mates_of_a_task_that_uses_up_the_memory_get_no_more_room():
    scheduler = Scheduler(run="r", slots=1)
    scheduler.handle(Added(tasks=(Work("first"),), priority=9.0, group="g", seconds=0.001))
    scheduler.handle(Added(tasks=tuple(Work(f"{i}") for i in range(9)), priority=1.0, group="g"))
    todo = batches(scheduler.handle(answered(next(iter(scheduler.flight.values())), seconds=0.001)))
    assert len(todo[0].tasks) > 1
    todo = batches(
        scheduler.handle(Finished(result=BatchResult(batch=todo[0], lost="no memory", out_of_memory=True)))
    )
    assert [(len(batch.tasks), batch.room) for batch in todo] == [(1, 1)]


def test_without_slots_nothing_is_started_until_there_are_some():
    scheduler = Scheduler(run="r", slots=0)
    assert scheduler.handle(Added(tasks=(Work("a"), Work("b")), priority=1.0, group="g")) == []
    assert not scheduler.idle
    assert len(batches(scheduler.handle(Resized(slots=2)))) == 2


def test_small_tasks_are_batched_by_what_they_have_cost_and_large_ones_are_not():
    for seconds, most in ((0.001, 64), (5.0, 1)):
        scheduler = Scheduler(run="r", slots=1)
        scheduler.handle(Added(tasks=(Work("first"),), priority=1.0, group="g"))
        scheduler.handle(Added(tasks=tuple(Work(f"{i}") for i in range(64)), priority=1.0, group="g"))
        commands = scheduler.handle(answered(next(iter(scheduler.flight.values())), seconds=seconds))
        size = len(batches(commands)[0].tasks)
        assert 1 <= size <= most
        assert size > 1 or seconds > MAX_BATCH_SECONDS


def test_after_a_stop_nothing_is_started_and_what_was_finished_is_taken():
    scheduler = Scheduler(run="r", slots=2)
    commands = scheduler.handle(Added(tasks=tuple(Work(f"{i}") for i in range(5)), priority=1.0, group="g"))
    assert scheduler.handle(Stopped()) == []
    (first, second) = batches(commands)
    assert [answer.id for answer in delivered(scheduler.handle(answered(first)))] == [
        task.id for task in first.tasks
    ]
    assert not scheduler.idle
    assert delivered(scheduler.handle(answered(second, tasks=()))) == []
    assert scheduler.idle
    assert scheduler.waiting == 5 - len(first.tasks)


def order(run, mixed):
    scheduler = Scheduler(run=run, slots=1)
    scheduler.handle(Added(tasks=(Work("first"),), priority=9.0, group="g"))
    for node in "abcdefgh":
        scheduler.handle(
            Added(
                tasks=tuple(Work(f"{node}{i}", node) for i in range(3)), priority=3.0, group="g", seconds=1e9
            )
        )
    scheduler.handle(Added(tasks=(Work("urgent", "z"),), priority=8.0, group="g"))
    if mixed:
        scheduler.handle(Shared(done=frozenset()))
    seen = []
    while scheduler.flight:
        (batch,) = scheduler.flight.values()
        seen += [task.id for task in batch.tasks]
        scheduler.handle(answered(batch))
    return seen


def test_runs_that_know_of_each_other_take_the_nodes_of_a_level_in_orders_of_their_own():
    assert order("r1", mixed=False) == order("r2", mixed=False)
    one, two = order("r1", mixed=True), order("r2", mixed=True)
    assert sorted(one) == sorted(two)
    assert one != two
    assert one[:2] == two[:2] == ["first", "urgent"]  # the longest path still goes first
    nodes = [task[0] for task in one[2:]]
    # a node's fits stay together
    assert sum(a != b for a, b in pairwise(nodes)) == 7
