"""The gate: whether a challenger may replace its champion, with every number that was used.

`judge` is a pure function of numbers that workers computed on honest columns (MANIFEST 1, DESIGN 3).
A refresh must not be worse by more than the margin, a recipe change must be better; both bounds are
one-sided 95 % ends of a paired bootstrap over days or leak groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from retraining.decide.wording import counted, number, signed
from retraining.manifest.values import GateRules, Json

Kind: TypeAlias = Literal["first", "incomparable", "refresh", "recipe", "same recipe"]
Word: TypeAlias = Literal["promoted", "rejected", "insufficient"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Challenger's loss minus champion's (positive: worse) with its one-sided 95 % bounds."""

    metric: str
    value: float
    lower: float
    upper: float
    champion_loss: float
    rows: int
    clusters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule with its number; `blocking` checks reject, others are shown."""

    name: str
    value: float | None
    limit: float | None
    passed: bool
    note: str = ""
    blocking: bool = True

    def to_json(self) -> dict[str, Json]:
        """The check as a document."""
        return {
            "name": self.name,
            "value": finite_or_none(self.value),
            "limit": self.limit,
            "passed": self.passed,
            "note": self.note,
            "blocking": self.blocking,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GateEvidence:
    """The numbers that a verdict is made from.

    Metrics are in natural sign on the same rows; `champion` is None without one (or where it has no
    honest prediction there). `holdout` describes the rows: from and to (its first
    and last day), rows, clusters, blocks.
    """

    kind: Kind
    metrics: tuple[str, ...]
    challenger: Mapping[str, float]
    champion: Mapping[str, float] | None
    dummy: Mapping[str, float]
    difference: Difference | None
    holdout: Mapping[str, Json]
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the gate decided, why in words, and every number that it used."""

    word: Word
    because: str
    evidence: GateEvidence | None = None
    limits: tuple[Check, ...] = ()
    checks: tuple[Check, ...] = ()
    margin: float | None = None
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Json]:
        """The verdict as a document (format 1), complete enough to be read years later."""
        doc: dict[str, Json] = {
            "format": 1,
            "verdict": self.word,
            "because": self.because,
            "notes": list(self.notes),
            "limits": [check.to_json() for check in self.limits],
            "checks": [check.to_json() for check in self.checks],
        }
        evidence = self.evidence
        if evidence is None:
            return doc
        doc |= {
            "comparison": evidence.kind,
            "metric": evidence.metrics[0],
            "holdout": dict(evidence.holdout),
            "challenger": _numbers(evidence.challenger),
            "champion": None if evidence.champion is None else _numbers(evidence.champion),
            "dummy": _numbers(evidence.dummy),
        }
        if evidence.difference is not None:
            difference = evidence.difference
            doc["difference"] = {
                "metric": difference.metric,
                "value": finite_or_none(difference.value),
                "lower": finite_or_none(difference.lower),
                "upper": finite_or_none(difference.upper),
                "margin": self.margin,
                "kind": evidence.kind,
                "rows": difference.rows,
                "clusters": difference.clusters,
            }
        return doc


def insufficient(because: str) -> Verdict:
    """The verdict where nothing could be compared."""
    return Verdict(word="insufficient", because=because)


def judge(evidence: GateEvidence, rules: GateRules, greater_is_better: Mapping[str, bool]) -> Verdict:
    """The verdict on a challenger by its gate fit; the shipped fit's own checks come later (`with_checks`)."""
    limits = tuple(_limit_checks(evidence, rules))
    notes = tuple(_dummy_notes(evidence, greater_is_better))
    margin: float | None = None
    if evidence.difference is not None and evidence.kind == "refresh":
        margin = (
            rules.margin.value
            if rules.margin.absolute
            else rules.margin.value * abs(evidence.difference.champion_loss)
        )
    elif evidence.difference is not None:
        margin = 0.0

    def verdict(word: Word, because: str) -> Verdict:
        return Verdict(
            word=word,
            because=because,
            evidence=evidence,
            limits=limits,
            checks=evidence.checks,
            margin=margin,
            notes=notes,
        )

    not_finite = [name for name, value in evidence.challenger.items() if not math.isfinite(value)]
    if not_finite:
        return verdict("rejected", f"{not_finite[0]} of the challenger is not a finite number")
    failed = [check for check in evidence.checks if check.blocking and not check.passed]
    if failed:
        return verdict("rejected", f"suspect data: {failed[0].note}")
    missed = [check for check in limits if not check.passed]
    if missed:
        return verdict("rejected", f"limit missed: {missed[0].note}")
    if notes and rules.dummy == "reject":
        return verdict("rejected", notes[0])
    if evidence.kind == "first":
        return verdict("promoted", "first release: limits and sanity checks passed")
    if evidence.kind == "incomparable":
        return verdict(
            "promoted",
            "its champion cannot be compared (another target, or its columns left the data): "
            "limits and sanity checks passed",
        )
    if evidence.kind == "same recipe":
        return verdict("promoted", "same recipe and same gate fit as the champion; the checks decide")
    return _compared(evidence, rules, margin or 0.0, verdict)


def with_checks(verdict: Verdict, checks: tuple[Check, ...]) -> Verdict:
    """The verdict after the shipped fit's own checks, which can only take a promotion back."""
    together = (*verdict.checks, *checks)
    failed = [check for check in checks if check.blocking and not check.passed]
    word, because = verdict.word, verdict.because
    if verdict.word == "promoted" and failed:
        word, because = "rejected", f"the shipped fit failed its check: {failed[0].note}"
    return Verdict(
        word=word,
        because=because,
        evidence=verdict.evidence,
        limits=verdict.limits,
        checks=together,
        margin=verdict.margin,
        notes=verdict.notes,
    )


def finite_or_none(value: float | None) -> float | None:
    """The number, or None where JSON has none for it."""
    return value if value is not None and math.isfinite(value) else None


def _compared(
    evidence: GateEvidence, rules: GateRules, margin: float, verdict: Callable[[Word, str], Verdict]
) -> Verdict:
    difference = evidence.difference
    if difference is None:
        return verdict(
            "insufficient", "no row of the holdout has a prediction of both challenger and champion"
        )
    if difference.clusters < rules.min_clusters:
        return verdict(
            "insufficient",
            f"the holdout has {counted(difference.clusters, _cluster(evidence))}, "
            f"and min_clusters asks for {rules.min_clusters}",
        )
    numbers = (
        f"{difference.metric}: difference in loss {signed(difference.value)}, "
        f"95% bound {signed(difference.upper)}"
    )
    if evidence.kind == "refresh":
        if difference.upper < margin:
            return verdict(
                "promoted",
                f"not worse than the champion by more than the margin of {number(margin)} ({numbers})",
            )
        return verdict(
            "rejected",
            f"may be worse than the champion by more than the margin of {number(margin)} ({numbers})",
        )
    if difference.upper < 0:
        return verdict("promoted", f"better than the champion ({numbers})")
    return verdict(
        "rejected", f"a changed recipe must be better than the champion, and this is not shown ({numbers})"
    )


def _cluster(evidence: GateEvidence) -> str:
    """What the bootstrap draws: days in the time scheme, leak groups (or rows) in the fold scheme."""
    return "day" if "blocks" in evidence.holdout else "group"


def _limit_checks(evidence: GateEvidence, rules: GateRules) -> list[Check]:
    checks = []
    for limit in rules.limits:
        value = evidence.challenger[limit.metric]
        if limit.max is not None:
            checks.append(_limit_check(limit.metric, value, limit.max, value <= limit.max, "at most"))
        if limit.min is not None:
            checks.append(_limit_check(limit.metric, value, limit.min, value >= limit.min, "at least"))
    return checks


def _limit_check(metric: str, value: float, limit: float, passed: bool, word: str) -> Check:
    note = f"{metric} is {number(value)}, {word} {number(limit)} is allowed"
    return Check(name=f"{metric} {word}", value=value, limit=limit, passed=passed, note=note)


def _dummy_notes(evidence: GateEvidence, greater_is_better: Mapping[str, bool]) -> list[str]:
    metric = evidence.metrics[0]
    own, dummy = evidence.challenger.get(metric), evidence.dummy.get(metric)
    if own is None or dummy is None:
        return []
    worse = own <= dummy if greater_is_better[metric] else own >= dummy
    return (
        [f"no better than a constant guess ({metric} {number(own)}, the guess {number(dummy)})"]
        if worse
        else []
    )


def _numbers(values: Mapping[str, float]) -> dict[str, Json]:
    return {name: finite_or_none(value) for name, value in values.items()}
