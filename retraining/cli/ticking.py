"""How a tick is told: as text, and as a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retraining.cli.running import outcome_document, outcome_lines

if TYPE_CHECKING:
    from retraining.manifest.values import Json
    from retraining.operations.tick import Act, Ticked
    from retraining.store.claims import Claim

__all__ = ["tick_document", "tick_lines"]


def tick_lines(ticked: Ticked) -> str:
    """What a tick did: for each run its moment, why, and what came of it; and when something may be due next."""
    from retraining.reporting.text import format_moment

    lines = []
    for act in ticked.acts:
        lines.append(f"as of {format_moment(act.as_of, ticked.timezone)}")
        lines += [f"  schedule: {text}" for text in act.why]
        if act.after is not None:
            lines.append(f"  run {act.after.run} of {act.after.who} died over this: taken over")
        if act.outcome is None:
            lines.append(f"  {_held(act)}; nothing was done here")
        else:
            lines.append(outcome_lines(act.outcome).rstrip())
    if not ticked.acts:
        lines.append("nothing is due")
    if ticked.next is not None:
        lines.append(f"by time alone something fires next at {format_moment(ticked.next, ticked.timezone)}")
    return "\n".join(lines) + "\n"


def tick_document(ticked: Ticked, exit_code: int) -> dict[str, Json]:
    """What a tick did, as a document."""
    return {
        "manifest": ticked.manifest,
        "store": ticked.store,
        "now": ticked.now,
        "release": ticked.release,
        "next": ticked.next,
        "acts": [_act_document(act) for act in ticked.acts],
        "exit_code": exit_code,
    }


def _act_document(act: Act) -> dict[str, Json]:
    outcome = None if act.outcome is None else outcome_document(act.outcome, act.outcome.exit_code)
    return {
        "as_of": act.as_of,
        "instants": [*act.instants],
        "run": outcome,
        "held_by": _claim_document(act.claim) if act.outcome is None else None,
        "taken_over_from": _claim_document(act.after),
    }


def _claim_document(claim: Claim | None) -> dict[str, Json] | None:
    return None if claim is None else {"run": claim.run, "who": claim.who, "since": claim.time}


def _held(act: Act) -> str:
    assert act.claim is not None
    return f"run {act.claim.run} of {act.claim.who} is at it since {act.claim.time}"
