"""What a plan says of a node in words beside its reasons: why it is kept, what it waits for, and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.decide.calendar import moment_text
from retraining.decide.changes import Change
from retraining.decide.facts import Decision, Facts
from retraining.decide.feedback import waiting_labels
from retraining.decide.reasons import Reason
from retraining.decide.schedules import next_instant
from retraining.decide.triggers import Evaluation
from retraining.decide.wording import counted
from retraining.manifest.durations import duration_text
from retraining.manifest.values import FeedbackCondition, ScheduleCondition
from retraining.release.values import Attempt, NodeState, Pin

__all__ = [
    "feedback_notes",
    "keep_note",
    "lacking_note",
    "pending_note",
    "pin_note",
    "time_notes",
    "unread_note",
    "upstream_reason",
]


def time_notes(facts: Facts, said: Evaluation) -> list[str]:
    """Which conditions hold where too few do, until when `not_within` holds back, and when schedules fire next."""
    zone, rule = facts.signals.timezone, facts.rule
    if said.held_until is not None and rule.not_within is not None:
        kinds = " and ".join(dict.fromkeys(reason.kind for reason in said.fired))
        until = moment_text(said.held_until, zone)
        return [f"held back until {until}, {duration_text(rule.not_within)} after the last attempt: {kinds}"]
    notes: list[str] = []
    if said.fired and not said.reasons:
        kinds = ", ".join(dict.fromkeys(reason.kind for reason in said.fired))
        notes.append(f"{kinds} fired, {len(said.fired)} of {rule.at_least} conditions that are needed")
    instants = (
        (instant, condition.timezone or zone)
        for condition in rule.conditions
        if isinstance(condition, ScheduleCondition)
        and (instant := next_instant(condition, facts.signals.as_of, zone)) is not None
    )
    first = min(instants, default=None)
    return notes if first is None else [*notes, f"scheduled next for {moment_text(*first)}"]


def feedback_notes(facts: Facts) -> list[str]:
    """How many late labels a node waits to learn from, where its rule counts them."""
    waiting = waiting_labels(facts.signals)
    if not waiting or not any(isinstance(one, FeedbackCondition) for one in facts.rule.conditions):
        return []
    return [f"{counted(waiting, 'late label')} {'waits' if waiting == 1 else 'wait'} for a later block's fit"]


def upstream_reason(names: Sequence[str], above: Mapping[str, Decision]) -> Reason:
    """The reason of a node whose upstreams may hand down another column."""
    what = (
        "will retrain"
        if all(above[name].action == "retrain" for name in names)
        else "may hand down another column"
    )
    return Reason(kind="upstream", text=f"{_names(names)} {what}", evidence={"upstreams": [*names]})


def pending_note(attempt: Attempt) -> str:
    """Since when a challenger waits for whose approval."""
    return f"pending since {attempt.time[:10]}: {attempt.because}"


def pin_note(pin: Pin) -> str:
    """Who pinned a node, when, and why."""
    return f"pinned by {pin.who} on {pin.time[:10]}: {pin.because}"


def lacking_note(lacking: Sequence[str], above: Mapping[str, Decision]) -> str:
    """Which inputs have no version, and why the first of them has none."""
    note = f"no usable version of {_names(lacking)}"
    cause = above[lacking[0]].note
    return f"{note} ({cause})" if cause else note


def unread_note(column: str) -> str:
    """Why a node whose rows find no row of an input cannot be made."""
    return (
        f"no row finds a row of {column}: check `match`, and that the upstream's rows are decided "
        "no later than those that read them"
    )


def keep_note(state: NodeState | None, due: bool, change: Change) -> str:
    """Why a node is kept: what became of its last attempt, and what changed since."""
    attempt = state.attempt if state else None
    changed = f"not due: {change.summary()}" if change.any and not due else ""
    if attempt is not None and attempt.outcome == "pending":
        return "; ".join(filter(None, [pending_note(attempt), changed]))
    if attempt is not None and attempt.outcome == "waiting":
        return "; ".join(filter(None, [f"its challenger {attempt.because}", changed]))
    if attempt is not None and attempt.outcome in ("rejected", "insufficient") and not changed:
        return f"{attempt.outcome} on {attempt.time[:10]} and nothing changed since: {attempt.because}"
    return changed or ("due, and nothing changed" if due else "nothing changed")


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
