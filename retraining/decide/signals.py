"""What triggers look at besides the change of a fingerprint: moments, and evidence that was recorded before.

Everything here is read from the store or handed in by who made the plan; nothing is computed from
data while a plan is made.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from retraining.decide.drifting import Drift
from retraining.decide.performance import Track
from retraining.decide.snapshots import BatchCount

__all__ = ["Signals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the triggers of one node look at. Moments are microseconds since 1970 (UTC).

    `as_of` is the moment of the plan. `looked` is the moment up to which the node's last attempt, or else its
    champion, looked at the world (None: it was never tried); whatever has no cursor begins there. `age` is that of
    what the champion learnt from (None: no champion). `cursors` are the node's, `timezone` the manifest's.
    `through` is the moment up to which instants of schedules are known: later than `as_of` only where a tick makes
    up for instants that were missed, one after the other. `track` is what measures say of the champion (None: no rule
    asks for it, or there is none), `drift` what the scan says of columns that its conditions look at. `feedback` is
    what each batch of late labels did to the node's rows, `feedback_seen` the last batch that its last attempt had
    seen, and `trained` how many rows train.
    """

    as_of: int
    timezone: str = "UTC"
    looked: int | None = None
    age: dt.timedelta | None = None
    cursors: Mapping[str, int] = field(default_factory=dict)
    through: int | None = None
    track: Track | None = None
    feedback: tuple[BatchCount, ...] = ()
    feedback_seen: int = 0
    trained: int = 0
    drift: Drift = field(default_factory=dict)

    @property
    def known_through(self) -> int:
        """The moment up to which instants of schedules are known."""
        return self.as_of if self.through is None else max(self.through, self.as_of)
