"""One scan for drift: which columns differ from what their champions learnt on, and how sure that is.

Each distinct column is looked at once, however many models read it. It drifts where its q-value is below 5 % *and*
the difference is as large as somebody would care about: days enough make every difference sure. False discoveries
are controlled among the losses, among the prediction columns and among the inputs of one scan, each by themselves:
inputs that differ with every season would else make it easier to call a loss worse.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from retraining.decide.discoveries import FALSE_DISCOVERIES, adjusted
from retraining.decide.profiles import Profile, merge
from retraining.decide.recipes import seed_of
from retraining.decide.shifts import LossDays, Shift, effect, loss_shift, shift
from retraining.decide.watched import WINDOW_DAYS, Period, Watched, period_of
from retraining.decide.wording import counted, finite_or_none, number
from retraining.manifest.values import DriftColumn, Json

__all__ = [
    "DISTANCE_FLOOR",
    "LEAST_DAYS",
    "SEVERITIES",
    "Finding",
    "Severity",
    "day_text",
    "ranked",
    "scan",
    "told",
]

Severity: TypeAlias = Literal["act", "watch", "info"]

#: What the drift of a column is good for: a loss acts, a prediction column warns, an input informs.
SEVERITIES: Final[Mapping[DriftColumn, Severity]] = {"loss": "act", "prediction": "watch", "inputs": "info"}
#: The least distance of numbers, in standard deviations: below it a changed index is one of neighbouring values.
DISTANCE_FLOOR = 0.1
#: Days on each side below which nothing is tested.
LEAST_DAYS = 4
#: A strip goes back so many windows.
MOST_STEPS = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a scan says of one column.

    `effect` is its index, or the relative change of its loss; `floor` what that has to reach (for a loss: to exceed;
    NaN where the margin is absolute and the loss was 0). `usual` is what 95 % of windows of as many days stay below,
    in units of what was permuted: the index, or the difference of losses. `distance` is in standard deviations
    (None: no numbers). `before` and `now` are means. `probability` and `adjusted` are p and q, None where there are
    too few days. `reference` and `window` are first and last days, as numbers since 1970-01-01; `days` and `rows` say
    how many there are. `strip` has the effect of every so many days as long as the window, oldest first, with their
    first and last day.
    """

    kind: DriftColumn
    column: str
    nodes: tuple[str, ...]
    effect: float
    floor: float
    usual: float
    distance: float | None
    before: float
    now: float
    probability: float | None
    adjusted: float | None
    windows: int
    exact: bool
    reference: tuple[int, int] | None
    window: tuple[int, int] | None
    days: tuple[int, int]
    rows: tuple[int, int]
    seasonal: bool = False
    metric: str = ""
    pending: int = 0
    strip: tuple[tuple[int, int, float], ...] = ()

    @property
    def severity(self) -> Severity:
        """What the column's drift is good for."""
        return SEVERITIES[self.kind]

    @property
    def tested(self) -> bool:
        """False where there are too few days to tell."""
        return self.probability is not None

    @property
    def drifted(self) -> bool:
        """True where the column drifts by at least its own floor."""
        return self.reaches(self.floor)

    def reaches(self, floor: float) -> bool:
        """True where the column drifts by at least so much; a loss has to be worse by more than its margin too."""
        if self.adjusted is None or not self.adjusted < FALSE_DISCOVERIES or not self.effect >= floor:
            return False
        if self.kind == "loss":
            return self.effect > self.floor
        return self.distance is None or math.isnan(self.distance) or self.distance >= DISTANCE_FLOOR

    def to_json(self) -> dict[str, Json]:
        """The finding as a document; days are ISO dates."""
        return {
            "column": self.column,
            "kind": self.kind,
            "nodes": list(self.nodes),
            "severity": self.severity,
            "drifted": self.drifted,
            "effect": finite_or_none(self.effect),
            "floor": finite_or_none(self.floor),
            "usual": finite_or_none(self.usual),
            "distance": finite_or_none(self.distance),
            "metric": self.metric or None,
            "before": finite_or_none(self.before),
            "now": finite_or_none(self.now),
            "p": self.probability,
            "q": self.adjusted,
            "windows": self.windows,
            "exact": self.exact,
            "reference": _span_json(self.reference, self.days[0], self.rows[0]),
            "window": _span_json(self.window, self.days[1], self.rows[1]),
            "seasonal": self.seasonal,
            "pending": self.pending,
            "strip": [
                {"from": day_text(first), "to": day_text(last), "effect": finite_or_none(value)}
                for first, last, value in self.strip
            ],
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> Finding:
        """The inverse of `to_json`."""
        return cls(
            kind=doc["kind"],
            column=doc["column"],
            nodes=tuple(doc["nodes"]),
            effect=_number(doc["effect"]),
            floor=_number(doc["floor"]),
            usual=_number(doc["usual"]),
            distance=doc["distance"],
            before=_number(doc["before"]),
            now=_number(doc["now"]),
            probability=doc["p"],
            adjusted=doc["q"],
            windows=doc["windows"],
            exact=doc["exact"],
            reference=_span(doc["reference"]),
            window=_span(doc["window"]),
            days=(doc["reference"]["days"], doc["window"]["days"]),
            rows=(doc["reference"]["rows"], doc["window"]["rows"]),
            seasonal=doc["seasonal"],
            metric=doc["metric"] or "",
            pending=doc["pending"],
            strip=tuple((_day(one["from"]), _day(one["to"]), _number(one["effect"])) for one in doc["strip"]),
        )


def scan(watched: Sequence[Watched], seed: int, length: int = WINDOW_DAYS) -> tuple[Finding, ...]:
    """What is found of each column, in their order; one that several nodes read on the same days is tested once.

    `seed` is the manifest's: the same columns give the same findings, in any order.
    """
    keys = [_key(one, length) for one in watched]
    tested: dict[tuple[object, ...], Finding] = {}
    for key, one in sorted(_distinct(keys, watched).items(), key=lambda item: (item[1].kind, item[1].column)):
        tested[key] = _test(one, seed, length)
    for kind in SEVERITIES:
        part = {
            key: one.probability
            for key, one in tested.items()
            if one.kind == kind and one.probability is not None
        }
        for key, value in zip(part, adjusted(list(part.values())), strict=True):
            tested[key] = replace(tested[key], adjusted=value)
    return tuple(tested[key] for key in keys)


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once: what drifts before what does not, then by severity, the largest first."""
    return tuple(sorted({id(one): one for one in findings}.values(), key=_order))


def _order(finding: Finding) -> tuple[bool, int, float, str, tuple[str, ...]]:
    rank = list(SEVERITIES).index(finding.kind)
    size = finding.effect if math.isfinite(finding.effect) else 0.0
    return (not finding.drifted, rank, -size, finding.column, finding.nodes)


def _key(watched: Watched, length: int) -> tuple[object, ...]:
    period = period_of(watched, length)
    return (watched.kind, watched.column, period.reference, period.window)


def _distinct(
    keys: Sequence[tuple[object, ...]], watched: Sequence[Watched]
) -> dict[tuple[object, ...], Watched]:
    """Each column once for each choice of days, with all its nodes and the smallest of their floors."""
    found: dict[tuple[object, ...], Watched] = {}
    for key, one in zip(keys, watched, strict=True):
        known = found.get(key)
        if known is None:
            found[key] = one
        else:
            nodes = tuple(sorted({*known.nodes, *one.nodes}))
            found[key] = replace(known, nodes=nodes, floor=min(known.floor, one.floor))
    return found


def _test(watched: Watched, seed: int, length: int) -> Finding:
    before, since = watched.before, watched.since
    period = period_of(watched, length)
    if min(len(period.reference), len(period.window)) < LEAST_DAYS:
        return _untested(watched, period, length)
    own = seed_of(seed, "drift", f"{watched.kind} {watched.column}")
    found: Shift
    if isinstance(before, LossDays) and isinstance(since, LossDays):
        found = loss_shift(before.on(period.reference), since.on(period.window), own)
    else:
        assert isinstance(before, Profile)
        assert isinstance(since, Profile)
        found = shift(before.on(period.reference), since.on(period.window), own)
    if watched.root:
        found = found.of_roots()
    floor = watched.floor
    if watched.absolute:
        floor = watched.floor / found.before if found.before > 0 else math.nan
    return replace(
        _untested(watched, period, length),
        effect=found.size,
        floor=floor,
        usual=found.permuted.usual,
        distance=found.distance,
        before=found.before,
        now=found.now,
        probability=found.permuted.probability,
        windows=found.permuted.windows,
        exact=found.permuted.exact,
        rows=found.rows,
    )


def _strip(watched: Watched, period: Period, length: int) -> tuple[tuple[int, int, float], ...]:
    """How far every `length` days are from the reference, counted back from the newest; oldest first."""
    days = sorted({*watched.before.days, *watched.since.days})
    if not days or not period.reference:
        return ()
    reference = watched.before.on(period.reference)
    found = []
    for place in range(MOST_STEPS):
        last = days[-1] - place * length
        inside = [day for day in days if last - length < day <= last]
        if last < days[0]:
            break
        if inside:
            here = _both(watched.before.on(inside), watched.since.on(inside))
            found.append((inside[0], inside[-1], effect(reference, here)))
    return tuple(reversed(found))


def _both(before: Profile | LossDays, since: Profile | LossDays) -> Profile | LossDays:
    if isinstance(before, LossDays) and isinstance(since, LossDays):
        return LossDays(
            days=before.days + since.days,
            rows=before.rows + since.rows,
            weight=before.weight + since.weight,
            loss=before.loss + since.loss,
        )
    assert isinstance(before, Profile)
    assert isinstance(since, Profile)
    return merge([before, since])


def _untested(watched: Watched, period: Period, length: int) -> Finding:
    return Finding(
        kind=watched.kind,
        column=watched.column,
        nodes=watched.nodes,
        effect=math.nan,
        floor=watched.floor if not watched.absolute else math.nan,
        usual=math.nan,
        distance=None,
        before=math.nan,
        now=math.nan,
        probability=None,
        adjusted=None,
        windows=0,
        exact=False,
        reference=_ends(period.reference),
        window=_ends(period.window),
        days=(len(period.reference), len(period.window)),
        rows=(0, 0),
        seasonal=period.seasonal,
        metric=watched.metric,
        pending=watched.pending,
        strip=_strip(watched, period, length),
    )


def told(finding: Finding) -> str:
    """The finding in a sentence."""
    what = {"loss": "loss of ", "prediction": "predictions of ", "inputs": ""}[finding.kind] + finding.column
    if finding.window is None:
        if finding.pending:
            return f"{what}: {counted(finding.pending, 'block')} not measured yet"
        return f"{what}: no new days since the champion's cut, or since a run last acted on it"
    if not finding.tested:
        short = f"{counted(finding.days[1], 'day')} against {counted(finding.days[0], 'day')}"
        return f"{what}: too few days to tell ({short}; {LEAST_DAYS} on each side are needed)" + _pending(
            finding
        )
    assert finding.adjusted is not None
    assert finding.reference is not None
    if finding.kind == "loss":
        size = f"{finding.metric} {number(finding.before)} -> {number(finding.now)} ({finding.effect:+.1%})"
    else:
        size = f"PSI {finding.effect:.2f}"
    days = f"{day_text(finding.window[0])} to {day_text(finding.window[1])}"
    against = f"{day_text(finding.reference[0])} to {day_text(finding.reference[1])}"
    same = ", the same season" if finding.seasonal else ""
    return f"{what}: {size}, q {finding.adjusted:.3f}, {days} against {against}{same}" + _pending(finding)


def _pending(finding: Finding) -> str:
    return f"; {counted(finding.pending, 'block')} not measured yet" if finding.pending else ""


def day_text(day: int) -> str:
    """A day, in days since 1970-01-01, as an ISO date."""
    return (dt.date(1970, 1, 1) + dt.timedelta(days=day)).isoformat()


def _day(text: str) -> int:
    return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days


def _ends(days: Sequence[int]) -> tuple[int, int] | None:
    return (days[0], days[-1]) if days else None


def _span_json(ends: tuple[int, int] | None, days: int, rows: int) -> dict[str, Json]:
    first, last = (None, None) if ends is None else (day_text(ends[0]), day_text(ends[1]))
    return {"from": first, "to": last, "days": days, "rows": rows}


def _span(doc: Mapping[str, Any]) -> tuple[int, int] | None:
    return None if doc["from"] is None else (_day(doc["from"]), _day(doc["to"]))


def _number(value: float | None) -> float:
    return math.nan if value is None else value
