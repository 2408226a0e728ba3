"""The `feedback` condition: how many labels came, or were corrected, in batches that no decision has consumed.

The cursor is the number of a batch. A label that came counts when the newest fit may learn from it (in the time
scheme: from the begin of the block after it was known), for to be due before would come to nothing; a
correction counts at once, since it takes a label away from today's fits, and until a fit may learn from its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from retraining.decide.reasons import Reason
from retraining.decide.signals import Signals
from retraining.decide.snapshots import BatchCount, NodeData
from retraining.decide.wording import counted
from retraining.manifest.values import FeedbackCondition, Json

__all__ = ["CURSOR", "consumed_batch", "feedback_cursors", "feedback_reasons", "waiting_labels"]

CURSOR = "feedback"


def consumed_batch(data: NodeData | None) -> int:
    """The number of the last batch that an attempt with these rows had seen; 0 where it saw none.

    Here a node begins that has no cursor yet: what it learnt from before the condition was written is no news.
    """
    return 0 if data is None else _through(data.feedback, 0)


def feedback_reasons(condition: FeedbackCondition, signals: Signals) -> tuple[Reason, ...]:
    """One reason where enough labels came or were corrected since the cursor."""
    new = _new(signals)
    rows, corrected = sum(one.rows for one in new), sum(one.corrected for one in new)
    share = corrected / signals.trained if signals.trained else 0.0
    if condition.rows is not None:
        fired, text = rows >= condition.rows, f"{counted(rows, 'label')} came or changed"
    else:
        fired = corrected > 0 and share >= (condition.corrected or 0.0)
        text = f"{share:.1%} of the labels that train were corrected, {counted(corrected, 'row')}"
    if not fired:
        return ()
    text += f", in {_batches(new)}"
    evidence: dict[str, Json] = {
        "batches": [one.batch for one in new],
        "rows": rows,
        "corrected": corrected,
        "trained": signals.trained,
        "share": share,
    }
    return (Reason(kind="feedback", text=text, evidence=evidence),)


def feedback_cursors(signals: Signals) -> Mapping[str, int]:
    """Where the cursor stands once what is there is consumed: before the first batch of which labels wait."""
    since = _since(signals)
    through = _through(signals.feedback, since)
    return {CURSOR: through} if through > since else {}


def waiting_labels(signals: Signals) -> int:
    """How many labels came that no fit of today may learn from."""
    return sum(one.waiting for one in signals.feedback)


def _since(signals: Signals) -> int:
    return signals.cursors.get(CURSOR, signals.feedback_seen)


def _new(signals: Signals) -> list[BatchCount]:
    since = _since(signals)
    return [one for one in signals.feedback if one.batch > since and one.rows]


def _through(counts: tuple[BatchCount, ...], since: int) -> int:
    waits = min((one.batch for one in counts if one.waiting and one.batch > since), default=None)
    return max((one.batch for one in counts if waits is None or one.batch < waits), default=since)


def _batches(new: list[BatchCount]) -> str:
    if len(new) == 1:
        return f"batch {new[0].batch}"
    return f"{len(new)} batches up to {new[-1].batch}"
