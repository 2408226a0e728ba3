"""gc beside runs, as a pure model: every interleaving of every step is explored, crashes included (design.md 7, 8).

Two runs and a gc work on one store: one run takes up a cached fit, the other restores the first release,
as `rollback` does; each release replaces the one before. Each step below is one request to the store,
after which any other party may act. Objects are names; a name is never used twice. A state in which the
head names an object that is not there is a release that dangles, and must not be reachable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import pytest


@dataclass(frozen=True)
class Entry:
    """A log entry: what it names, what is condemned after it; `gc` says whether a gc wrote it."""

    names: frozenset[str]
    condemned: frozenset[str]
    gc: bool = False


@dataclass(frozen=True)
class Run:
    """A run and where it is: it reads the head, then lists results, works, and commits."""

    name: str
    takes: str
    step: Literal["begin", "list", "work", "check", "create", "done", "dead"] = "begin"
    start: int = 0  # entries in the log when it read the head
    checked: int = 0  # entries that its check has seen
    wants: frozenset[str] = frozenset()  # what its release would name
    writes: int = 0


@dataclass(frozen=True)
class Collector:
    """The gc process: it reads the head, lists the store, deletes what is ripe, and appends an entry."""

    step: Literal["begin", "list", "sweep", "create", "late"] = "begin"
    head: int = 0
    listed: frozenset[str] = frozenset()
    rounds: int = 0


@dataclass(frozen=True)
class World:
    """Everything: the objects that are there, those old enough to be condemned or deleted, the log."""

    objects: frozenset[str]
    old: frozenset[str]
    ripe: frozenset[str]
    log: tuple[Entry, ...]
    runs: tuple[Run, ...]
    gc: Collector


Moves: TypeAlias = Iterator[World]


@dataclass(frozen=True)
class Rules:
    """The protocol, and the ways to break it."""

    check_start: bool = True  # a commit looks at the list of the head that its run read
    check_since: bool = True  # … and at the list of each gc entry since
    only_newest: bool = False  # … or at the newest list alone
    new_names: bool = True  # a rescued object gets a new name
    late_removal: bool = True  # a name leaves the list only after its object is gone
    head_first: bool = True  # a run reads the head before it lists what there is


CACHED, RELEASED = "cached", "released"


def begin(*takes: str) -> World:
    # a cached fit that no release names, as old as can be; the head names another object
    objects = frozenset({CACHED, RELEASED})
    first = Entry(names=frozenset({RELEASED}), condemned=frozenset())
    runs = tuple(Run(name=f"r{number}", takes=one) for number, one in enumerate(takes))
    return World(objects=objects, old=objects, ripe=frozenset(), log=(first,), runs=runs, gc=Collector())


def moves(world: World, rules: Rules, rounds: int) -> Moves:
    """Every world that one step of anybody leads to."""
    for number, run in enumerate(world.runs):
        for objects, log, after in run_moves(world, run, rules):
            runs = (*world.runs[:number], after, *world.runs[number + 1 :])
            yield replace(world, objects=objects, log=log, runs=runs)
        if run.step not in ("done", "dead"):
            dead = replace(run, step="dead")
            yield replace(world, runs=(*world.runs[:number], dead, *world.runs[number + 1 :]))
    yield from gc_moves(world, rules, rounds)
    # time passes: what was written becomes old, what is condemned becomes ripe
    condemned = world.log[-1].condemned
    if world.old != world.objects or world.ripe != condemned:
        yield replace(world, old=world.objects, ripe=condemned)


def run_moves(  # noqa: C901 - one case for each step, as the protocol has them
    world: World, run: Run, rules: Rules
) -> Iterator[tuple[frozenset[str], tuple[Entry, ...], Run]]:
    objects, log = world.objects, world.log
    match run.step:
        case "begin":
            if rules.head_first:
                yield objects, log, replace(run, step="list", start=len(log))
            else:
                found = frozenset({run.takes}) & objects
                yield objects, log, replace(run, step="list", wants=found)
        case "list":
            if rules.head_first:
                found = frozenset({run.takes}) & objects
                yield objects, log, replace(run, step="work", wants=found)
            else:
                yield objects, log, replace(run, step="work", start=len(log))
        case "work":
            # what was not listed is made, under a name of the run's own; what was is named, read or not
            made = f"{run.name}-{run.writes}"
            wants = run.wants or frozenset({made})
            made_now = wants - run.wants
            yield objects | made_now, log, replace(run, step="check", wants=wants, writes=run.writes + 1)
        case "check":
            known = frozenset[str]()
            if rules.only_newest:
                known = log[-1].condemned
            else:
                if rules.check_start:
                    known |= log[run.start - 1].condemned
                if rules.check_since:
                    known |= frozenset(n for entry in log[run.start :] if entry.gc for n in entry.condemned)
            bad = run.wants & known
            if not bad:
                yield objects, log, replace(run, step="create", checked=len(log))
            elif bad & objects:
                if rules.new_names:
                    copy = f"{run.name}-{run.writes}"
                    wants = run.wants - bad | {copy}
                    yield (
                        objects | {copy},
                        log,
                        replace(run, wants=wants, writes=run.writes + 1, step="check"),
                    )
                else:
                    yield objects | bad, log, replace(run, step="create", checked=len(log))
            else:
                # gone: the commit is refused, and running again makes it
                yield objects, log, replace(run, step="done")
        case "create":
            if run.checked != len(log):
                yield objects, log, replace(run, step="check")
            else:
                entry = Entry(names=run.wants, condemned=log[-1].condemned)
                yield objects, (*log, entry), replace(run, step="done")
        case _:
            return


def gc_moves(world: World, rules: Rules, rounds: int) -> Moves:
    gc, objects, log = world.gc, world.objects, world.log
    head = log[gc.head - 1] if gc.head else log[-1]
    ripe = head.condemned & world.ripe
    match gc.step:
        case "begin" if gc.rounds < rounds:
            yield replace(world, gc=replace(gc, step="list", head=len(log)))
        case "list":
            yield replace(world, gc=replace(gc, step="sweep", listed=objects & world.old))
        case "sweep":
            after = objects - ripe if rules.late_removal else objects
            yield replace(world, objects=after, gc=replace(gc, step="create"))
        case "create":
            again = Collector(rounds=gc.rounds + 1)
            if gc.head != len(log):
                yield replace(world, gc=again)
                return
            new = gc.listed - head.names - head.condemned
            entry = Entry(names=head.names, condemned=head.condemned - ripe | new, gc=True)
            if not rules.late_removal:
                again = replace(gc, step="late", listed=ripe)
            yield replace(world, log=(*log, entry), ripe=world.ripe - new, gc=again)
        case "late":
            # the broken rule: deleted after the name left the list
            yield replace(world, objects=objects - gc.listed, gc=Collector(rounds=gc.rounds + 1))
        case _:
            return
    if gc.step != "begin":
        # gc dies, and is started again
        yield replace(world, gc=Collector(rounds=gc.rounds + 1))


def dangling(world: World) -> bool:
    return not world.log[-1].names <= world.objects


def explore(rules: Rules, *takes: str, rounds: int, stop: bool = False) -> tuple[int, World | None]:
    """How many states can be reached, and one of them in which the head dangles (the first ends it: `stop`)."""
    seen = {begin(*takes)}
    stack = list(seen)
    bad = None
    while stack and not (stop and bad):
        for world in moves(stack.pop(), rules, rounds):
            if world not in seen:
                seen.add(world)
                stack.append(world)
                if dangling(world):
                    bad = bad or world
    return len(seen), bad


@pytest.mark.parametrize(
    ("takes", "rounds", "at_least"),
    [((CACHED,), 3, 5_000), ((RELEASED,), 3, 1_000), ((CACHED, RELEASED), 2, 50_000)],
    ids=["a run", "a rollback", "both"],
)
def test_no_interleaving_of_runs_gc_and_crashes_releases_what_is_gone(takes, rounds, at_least):
    states, bad = explore(Rules(), *takes, rounds=rounds)
    assert states > at_least
    assert bad is None


@pytest.mark.parametrize(
    "rules",
    [
        Rules(check_start=False, check_since=False),
        Rules(check_start=False),
        Rules(check_since=False),
        Rules(only_newest=True),
        Rules(new_names=False),
        Rules(late_removal=False),
        Rules(head_first=False),
    ],
    ids=[
        "no check",
        "not at the start",
        "not since the start",
        "the newest list alone",
        "put back under its old name",
        "off the list before it is gone",
        "the list of objects before the head",
    ],
)
def test_each_rule_is_needed(rules: Rules):
    assert explore(rules, CACHED, rounds=3, stop=True)[1] is not None
