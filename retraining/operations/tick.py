"""A tick: all triggers are looked at once, and what is due is acted on, once whoever notices it.

A tick fixes the moment of its runs: a due instant of a schedule, so that it comes to the same whoever
looks how much later; else now. Two ticks that notice the same thing at the same time agree by a claim.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from retraining.decide.calendar import iso_of, micros, moment
from retraining.decide.plan import Plan
from retraining.decide.recipes import digest_of
from retraining.errors import StoreError
from retraining.learn.permitted import permitted
from retraining.manifest.values import Json
from retraining.operations.arguments import parse_moment
from retraining.operations.idle import settle_idle
from retraining.operations.measuring import measure_champions
from retraining.operations.outcome import RunOutcome
from retraining.operations.people import who_am_i
from retraining.operations.run import RunOptions, Watcher, carry_out
from retraining.operations.session import Quiet, Request, Session, open_plan
from retraining.store.claims import Claim, claim, give_up, newest_claim, standing
from retraining.store.log import Store
from retraining.store.runs import new_run_id

__all__ = ["Act", "Ticked", "tick"]

#: How long a tick leaves what failed alone, where nothing else is due: else it would fail every minute.
_RETRY_MICROS = 3_600_000_000
#: How often a tick looks again because the log moved on while it looked.
_MOST_LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that a tick had to do: a run at `as_of` (ISO, UTC), for due `instants` of schedules or for none.

    `outcome` is None where another run acts on it at the moment: that of `claim`. `after` is the claim of a run that
    had died over the same, and whose work was taken over. `why` says of the instants how they came.
    """

    as_of: str
    instants: tuple[str, ...]
    why: tuple[str, ...]
    outcome: RunOutcome | None
    claim: Claim | None = None
    after: Claim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """What a tick at the moment `now` did; no acts: nothing was due.

    `next` is the first moment at which time alone makes a trigger fire, as far as the tick's look told (None: no
    such moment). Both are ISO moments in UTC. `release` is the current one after it.
    """

    manifest: str
    timezone: str
    store: str
    now: str
    release: int | None
    next: str | None
    acts: tuple[Act, ...] = ()

    @property
    def exit_code(self) -> int:
        """That of the first run which has one that is not 0."""
        codes = (act.outcome.exit_code for act in self.acts if act.outcome is not None)
        return next((code for code in codes if code), 0)


class _MovedOnError(Exception):
    """The log moved on after this tick had looked: what it saw may be answered by now."""


@dataclass(slots=True, kw_only=True)
class _Looked:
    """What one look at the world found, and what was done about it so far."""

    request: Request
    session: Session | Quiet
    now: dt.datetime
    options: RunOptions
    watcher: Watcher
    retry: int | None = None  # when what failed is tried again (microseconds UTC)
    acts: list[Act] = field(default_factory=list)


def tick(
    manifest: str | Path,
    *,
    store: str | None = None,
    as_of: str | None = None,
    select: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    data: Mapping[str, str] | None = None,
    max_fits: int | None = None,
    existing: bool = False,
    options: RunOptions | None = None,
    watcher: Watcher | None = None,
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> Ticked:
    """What one look at all triggers led to; every release is committed when it returns.

    `as_of` is the moment of the look, instead of the clock's. `existing`: a store that is not there is an error (one
    that was there before is away, and must not be made anew). The oldest due instant is acted on first, with the
    data as it was then; where the store has looked further already, or the node's other conditions hold only now,
    the run is one of now. Errors as `run`: a run that ends so leaves its instant to the next tick.
    """
    options, watcher = options or RunOptions(), watcher or Watcher()
    request = Request(
        manifest=Path(manifest),
        store=store,
        select=select,
        exclude=exclude,
        as_of=as_of,
        data=data or {},
        permissions=permitted(options.allow, joblib=options.allow_joblib),
        max_fits=max_fits,
        existing=existing,
    )
    acts: list[Act] = []
    for _ in range(_MOST_LOOKS):
        now = clock()
        session = _open(request, now, options, watcher)
        looked = _Looked(
            request=request, session=session, now=now, options=options, watcher=watcher, acts=acts
        )
        with suppress(_MovedOnError):
            _answer(looked)
            break
    return _ticked(looked)


def _open(request: Request, now: dt.datetime, options: RunOptions, watcher: Watcher) -> Session | Quiet:
    """One look at the world, with champions measured where triggers have to know more than the store does."""
    return open_plan(
        request,
        now,
        create_store=True,
        measure=lambda session: measure_champions(session, options, watcher),
    )


def _look(looked: _Looked, request: Request) -> Session | Quiet:
    return _open(request, looked.now, looked.options, looked.watcher)


def _ticked(looked: _Looked) -> Ticked:
    session = looked.session
    done = [act.outcome.after.release for act in looked.acts if act.outcome is not None]
    return Ticked(
        manifest=session.manifest.name,
        timezone=session.manifest.timezone,
        store=session.store_url,
        now=session.plan.as_of,
        release=done[-1] if done else session.head.release,
        next=_earliest(session.next_moment, looked.retry),
        acts=tuple(looked.acts),
    )


def _answer(looked: _Looked) -> None:
    """Acts on whatever the look found due; `_MovedOnError` where the look is out of date."""
    first = looked.session
    if isinstance(first, Session):
        looked.retry = _retry_at(first)
        if looked.retry is not None:
            return
    due = [moment(one) for one in _due_instants(first.plan)]
    late: list[dt.datetime] = []  # answered by a run of now
    for instant in due:
        if isinstance(first, Session) and micros(instant) <= _newest_look(first):
            late.append(instant)
            continue
        then = _look(looked, replace(looked.request, as_of=instant.isoformat(), through=_moment_of(looked)))
        if micros(instant) not in _due_instants(then.plan):
            late.append(instant)
            continue
        looked.acts.append(_act(looked, then, (instant,)))
        if looked.acts[-1].outcome is None:
            return  # instants are answered in their order: whoever is at this one, or the next tick, goes on
    session = first
    if len(late) < len(due):
        session = _look(looked, looked.request)
        still = _due_instants(session.plan)
        late = [instant for instant in late if micros(instant) in still]
    if late or not due:
        act = _act(looked, session, late)
        quiet = act.outcome is not None and act.outcome.after is session.head
        if not quiet:
            looked.acts.append(act)


def _retry_at(session: Session) -> int | None:
    """When nodes that failed are tried again, where nothing else is due before; None where something is to be done."""
    failed: dict[str, int] = {}
    for decision in session.plan.decisions:  # upstreams come first
        if decision.resumes or decision.consumes:
            return None
        if decision.action != "retrain" or not decision.direct:
            continue
        kinds = {reason.kind for reason in decision.reasons}
        looked = session.facts[decision.node].signals.looked
        if looked is not None and "failed before" in kinds and kinds <= {"failed before", "new"}:
            failed[decision.node] = looked + _RETRY_MICROS
        elif kinds != {"new"} or failed.keys().isdisjoint(session.graph.ancestors([decision.node])):
            return None  # one that was never tried since what it reads failed waits with that
    first = min(failed.values(), default=None)
    return first if first is not None and session.observation.as_of < first else None


def _earliest(*moments: int | None) -> str | None:
    first = min((one for one in moments if one is not None), default=None)
    return None if first is None else _iso(first)


def _moment_of(looked: _Looked) -> int:
    """The moment of the look (microseconds UTC)."""
    asked = looked.request.as_of
    return micros(looked.now if asked is None else parse_moment(asked, looked.session.manifest.timezone))


def _due_instants(plan: Plan) -> list[int]:
    """The instants of schedules for which nodes are due, the oldest first (microseconds UTC)."""
    return sorted({micros(dt.datetime.fromisoformat(text)) for text in _instants_of(plan)})


def _instants_of(plan: Plan) -> Iterator[str]:
    for decision in plan.decisions:
        for reason in decision.reasons:
            found = reason.evidence.get("instants") if reason.kind == "schedule" else None
            yield from (str(one) for one in (found if isinstance(found, list) else ()))


def _newest_look(session: Session) -> int:
    """The moment up to which the store has looked at the world: no run may go back behind it.

    Nodes that were tried with later data would take what is missing then for a change.
    """
    return max((facts.signals.looked or 0 for facts in session.facts.values()), default=0)


def _act(looked: _Looked, session: Session | Quiet, instants: Sequence[dt.datetime]) -> Act:
    """One run, unless another one is at it."""
    looked.watcher.planned(session)
    why = dict.fromkeys(
        reason.text
        for decision in session.plan.decisions
        for reason in decision.reasons
        if reason.kind == "schedule"
    )
    act = Act(
        as_of=session.plan.as_of,
        instants=tuple(_iso(micros(instant)) for instant in instants),
        why=tuple(why),
        outcome=None,
    )
    started = time.time()
    if isinstance(session, Quiet) or session.plan.idle:
        return replace(act, outcome=settle_idle(session, started))
    assert session.store is not None
    made, before = _claimed(session, session.store, _tick_id(looked.request, session, act.instants), started)
    if made is None:
        return replace(act, claim=before)
    try:
        outcome = carry_out(session, session.store, looked.options, looked.watcher, started, run_id=made.run)
    except BaseException:
        with suppress(StoreError):
            give_up(session.store, made, iso_of(time.time()))
        raise
    return replace(act, outcome=outcome, claim=made, after=before)


def _claimed(
    session: Session, store: Store, tick_id: str, started: float
) -> tuple[Claim | None, Claim | None]:
    """The claim of this run, and that of a dead one which it takes over; or None, and the claim of who is at it."""
    run = new_run_id(int(started * 1000), os.urandom(4))
    while True:
        before = newest_claim(store, tick_id)
        stands = None if before is None else standing(store, before)
        if stands == "working":
            return None, before
        if stands == "ended" and _moved_on(session, store):
            raise _MovedOnError
        made = claim(store, tick_id, before, run=run, who=who_am_i(), now=iso_of(started))
        if made is not None:
            return made, before if stands == "dead" else None


def _moved_on(session: Session, store: Store) -> bool:
    newest = store.newest_entry()
    return newest is not None and newest.sequence != session.head.sequence


def _tick_id(request: Request, session: Session, instants: Sequence[str]) -> str:
    """The name of what is to be answered: due instants; without any, what is due of these data on this release."""
    asked: list[Json] = [[*request.select], [*request.exclude]]
    what: dict[str, Json] = {"manifest": session.manifest.name, "instants": [*instants]}
    if any(asked):
        what["asked"] = asked
    if not instants:
        entry = session.head.entry
        what |= {
            "commit": None if entry is None else entry.commit,
            "data": [session.observation.signature, session.observation.feedback.through],
            "nodes": [decision.node for decision in session.plan.decisions if decision.action != "keep"],
        }
    return digest_of(what).rpartition(":")[2][:32]


def _iso(micros_utc: int) -> str:
    return moment(micros_utc).isoformat().replace("+00:00", "Z")
