"""A plan that trains nothing, carried out: every node stays, and what was due in vain is remembered as answered."""

from __future__ import annotations

import time

from retraining.operations.outcome import RunOutcome
from retraining.operations.people import named_briefly, word_of
from retraining.operations.record import exit_code_of
from retraining.operations.session import Quiet, Session
from retraining.release.orphans import withdrawn
from retraining.release.update import Update
from retraining.store.entries import Head

__all__ = ["manifest_of", "settle_idle"]


def settle_idle(session: Session | Quiet, started: float) -> RunOutcome:
    """The outcome of a plan without work, `started` then (seconds since 1970); cursors that move are committed.

    Errors as `Store.commit`.
    """
    after = _consume(session)
    outcomes = {
        decision.node: ("blocked" if decision.action == "blocked" else "kept", decision.note)
        for decision in session.plan.decisions
    }
    counts: dict[str, int] = {}
    for outcome, _ in outcomes.values():
        counts[outcome] = counts.get(outcome, 0) + 1
    return RunOutcome(
        run="",
        outcomes=outcomes,
        before=session.head,
        after=after,
        record={},
        exit_code=exit_code_of(counts),
        seconds=time.time() - started,
        counts=counts,
    )


def _consume(session: Session | Quiet) -> Head:
    """The head after what was due in vain was remembered as answered, and what its node left was withdrawn."""
    consumed = session.plan.consumed
    planned = {decision.node for decision in session.plan.decisions}
    # a plan that was remembered saw the same nodes go
    gone = withdrawn(session.head.nodes, planned) if isinstance(session, Session) else {}
    if not (consumed or gone) or session.store is None:
        return session.head
    named = consumed or gone
    return word_of(None).commit(
        session.store,
        Update(cursors=consumed, attempts=gone),
        (),
        kind="state",
        why={"nothing changed": named_briefly(named), "count": len(named)},
        manifest=manifest_of(session),
        start=session.head,
    )


def manifest_of(session: Session | Quiet) -> dict[str, str]:
    """What a log entry says of the manifest: its name, digest and time zone."""
    manifest = session.manifest
    return {"name": manifest.name, "digest": manifest.digest, "timezone": manifest.timezone}
