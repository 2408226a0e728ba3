"""What a scan for drift looks at: a column before and since its champion's cut, and which of the days are compared."""

from __future__ import annotations

from dataclasses import dataclass

from retraining.decide.profiles import Profile
from retraining.decide.shifts import LossDays
from retraining.manifest.values import DriftColumn

__all__ = ["WINDOW_DAYS", "Period", "Watched", "period_of"]

#: The newest so many days are the window.
WINDOW_DAYS = 14
_YEAR, _SEASON, _ENOUGH = 365.25, 45, 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A column that a scan looks at: what its days held before the champion's cut, and what they held since.

    `nodes` are those that it concerns; `column` names it to people. `floor` is the smallest index that counts, for a
    loss the margin of the gate: a share of the loss before, or an `absolute` number. A window holds days after `after`
    alone. `metric` is that of a loss, which is told as the `root` of its mean where it is one of squares; `pending`
    says how many blocks are not measured yet.
    """

    kind: DriftColumn
    column: str
    nodes: tuple[str, ...]
    before: Profile | LossDays
    since: Profile | LossDays
    floor: float
    absolute: bool = False
    after: int | None = None
    metric: str = ""
    root: bool = False
    pending: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """The days that are compared; `seasonal`: those of the reference are of the window's season in earlier years."""

    reference: tuple[int, ...]
    window: tuple[int, ...]
    seasonal: bool = False


def period_of(watched: Watched, length: int = WINDOW_DAYS) -> Period:
    """The days that are compared: the newest `length` days since the cut, and those of the reference.

    Days up to `after` are in no window. The reference is all days before the cut; where at least four weeks of them
    lie in the window's season (45 days around it) about a year or more earlier, it is those. Of a loss it is else the
    newer half, if that is four weeks: older days were predicted by fits that had learnt from little.
    """
    before = sorted(watched.before.days)
    later = [day for day in sorted(watched.since.days) if watched.after is None or day > watched.after]
    window = tuple(day for day in later if day > later[-1] - length)
    if not window:
        return Period(reference=tuple(before), window=())
    middle = (window[0] + window[-1]) / 2
    near = _SEASON + (window[-1] - window[0]) / 2
    season = []
    for day in before:
        years = round((middle - day) / _YEAR)
        if years >= 1 and abs(middle - day - years * _YEAR) <= near:
            season.append(day)
    if len(season) >= _ENOUGH:
        return Period(reference=tuple(season), window=window, seasonal=True)
    if watched.kind == "loss":
        before = before[max(0, min(len(before) // 2, len(before) - _ENOUGH)) :]
    return Period(reference=tuple(before), window=window)
