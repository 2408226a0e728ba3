"""Claims: which run acts on a tick, so that two that notice it at the same time do not both pay for it (design.md 9).

A claim is the newest of a tick's numbered objects, each created once. Claims save work and carry no
correctness: where two act after all, the commit decides.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Literal, TypeAlias

from retraining.errors import AlreadyExistsError, IntegrityError, NotFoundError, StoreError
from retraining.manifest.values import Json
from retraining.release import fields
from retraining.store.garbage import store_time
from retraining.store.log import Store
from retraining.store.runs import DEAD_AFTER_SECONDS, alive_key, outcome_key, process_lives

__all__ = ["Claim", "Standing", "claim", "claim_key", "give_up", "newest_claim", "standing"]

#: at work; ended, by its own word or an outcome; or dead: no outcome, and no sign of life.
Standing: TypeAlias = Literal["working", "ended", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who acts on a tick: its run, whose command it is (user@host), since when, and in which process.

    With `given_up` the run before this number has let go of the tick.
    """

    tick: str
    number: int
    run: str
    who: str
    time: str
    host: str
    pid: int
    given_up: bool = False


def claim_key(tick: str, number: int) -> str:
    """The key of a tick's claim number `number`, counted from 1."""
    return f"claims/{tick}/{number:04d}"


def newest_claim(store: Store, tick: str) -> Claim | None:
    """The newest claim on a tick; None where nobody has claimed it."""
    names = (info.key.rpartition("/")[2] for info in store.objects.list(f"claims/{tick}/"))
    number = max((int(name) for name in names if name.isdigit()), default=None)
    if number is None:
        return None
    key = claim_key(tick, number)
    document = store.read_json(key)
    try:
        return Claim(
            tick=tick,
            number=number,
            run=fields.text(document, "run"),
            who=fields.text(document, "who"),
            time=fields.text(document, "time"),
            host=fields.text(document, "host"),
            pid=fields.integer(document, "pid"),
            given_up=document.get("given_up") is True,
        )
    except ValueError as error:
        raise IntegrityError(f"{key}: {error}", "no release relies on claims: delete it") from error


def claim(store: Store, tick: str, before: Claim | None, *, run: str, who: str, now: str) -> Claim | None:
    """The claim on a tick that was made after `before`, which must be its newest; None where another run was faster."""
    made = Claim(
        tick=tick,
        number=1 if before is None else before.number + 1,
        run=run,
        who=who,
        time=now,
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    return made if _create(store, made) else None


def give_up(store: Store, held: Claim, now: str) -> None:
    """Lets go of a tick that this run has not carried out, so that nobody has to wait until it is taken for dead."""
    _create(
        store,
        Claim(
            tick=held.tick,
            number=held.number + 1,
            run=held.run,
            who=held.who,
            time=now,
            host=held.host,
            pid=held.pid,
            given_up=True,
        ),
    )


def standing(store: Store, held: Claim) -> Standing:
    """What became of a claim's run. It is dead without an outcome when it has shown no sign of life for five minutes.

    Time is the store's. On this machine a process that is gone is dead at once.
    """
    if held.given_up or _exists(store, outcome_key(held.run)):
        return "ended"
    if held.host == socket.gethostname() and not process_lives(held.pid):
        return "dead"
    keys = (claim_key(held.tick, held.number), alive_key(held.run))
    signs = [info.modified for key in keys for info in store.objects.list(key) if info.key == key]
    silent = (store_time(store.objects) - max(signs)).total_seconds() if signs else DEAD_AFTER_SECONDS
    return "working" if silent < DEAD_AFTER_SECONDS else "dead"


def _create(store: Store, made: Claim) -> bool:
    document: dict[str, Json] = {
        "tick": made.tick,
        "run": made.run,
        "who": made.who,
        "time": made.time,
        "host": made.host,
        "pid": made.pid,
        "given_up": made.given_up,
    }
    try:
        store.create_json(claim_key(made.tick, made.number), document)
    except AlreadyExistsError:
        return False
    return True


def _exists(store: Store, key: str) -> bool:
    try:
        store.objects.get_range(key, 0, 1)
    except NotFoundError:
        return False
    except StoreError:
        return any(info.key == key for info in store.objects.list(key))
    return True
