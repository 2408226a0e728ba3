"""The gate: whether a challenger may replace its champion, with every number that was used.

`judge` is a pure function of numbers that workers computed on honest columns (MANIFEST 1, DESIGN 3).
A refresh must not be worse by more than the margin, a recipe change must be better; both bounds are
one-sided 95 % ends from drawing days or leak groups again (`learn.intervals`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from retraining.decide.evidence import LEVEL, Check, Difference, GateEvidence, Kind, finite_or_none
from retraining.decide.wording import counted, number, signed
from retraining.manifest.values import GateRules, Json, Limit

__all__ = [
    "Check",
    "Difference",
    "GateEvidence",
    "Kind",
    "Verdict",
    "Word",
    "finite_or_none",
    "insufficient",
    "judge",
    "with_checks",
    "with_notes",
]

Word: TypeAlias = Literal["promoted", "rejected", "insufficient"]


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
    rules: GateRules | None = None

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
        doc |= {**evidence.to_json(), "rules": rules_to_json(self.rules) if self.rules is not None else None}
        if evidence.difference is not None:
            doc["difference"] = _difference_to_json(evidence.difference, evidence.kind, self.margin)
        return doc


def _difference_to_json(difference: Difference, kind: Kind, margin: float | None) -> dict[str, Json]:
    by_cluster = None if difference.by_cluster is None else dict(difference.by_cluster)
    return {
        "metric": difference.metric,
        "value": finite_or_none(difference.value),
        "lower": finite_or_none(difference.lower),
        "upper": finite_or_none(difference.upper),
        "margin": margin,
        "kind": kind,
        "champion_loss": finite_or_none(difference.champion_loss),
        "rows": difference.rows,
        "clusters": difference.clusters,
        "level": LEVEL,
        "draws": difference.draws,
        "seed": difference.seed,
        "by_cluster": by_cluster,
    }


def rules_to_json(rules: GateRules) -> dict[str, Json]:
    """The settings that a verdict was made under, as a document."""
    return {
        "margin": rules.margin.value,
        "margin_is_absolute": rules.margin.absolute,
        "limits": {limit.metric: {"max": limit.max, "min": limit.min} for limit in rules.limits},
        "min_clusters": rules.min_clusters,
        "refit_shift": rules.refit_shift,
        "dummy": rules.dummy,
    }


def insufficient(because: str) -> Verdict:
    """The verdict where nothing could be compared."""
    return Verdict(word="insufficient", because=because)


def judge(evidence: GateEvidence, rules: GateRules, greater_is_better: Mapping[str, bool]) -> Verdict:
    """The verdict on a challenger by its gate fit; the shipped fit's own checks come later (`with_checks`)."""
    limits = tuple(_limit_checks(evidence, rules))
    worse = tuple(_dummy_notes(evidence, greater_is_better))
    unmeasured = tuple(
        f"{name} has no value on the holdout: {_why_unmeasured(evidence, name)}"
        for name in evidence.metrics
        if not math.isfinite(evidence.challenger[name])
    )
    margin = _margin(evidence, rules)

    def verdict(word: Word, because: str) -> Verdict:
        return Verdict(
            word=word,
            because=because,
            evidence=evidence,
            limits=limits,
            checks=evidence.checks,
            margin=margin,
            notes=(*worse, *unmeasured),
            rules=rules,
        )

    if evidence.not_finite:
        count = counted(evidence.not_finite, "prediction")
        return verdict(
            "rejected", f"{count} of the challenger on the holdout {_is_are(evidence.not_finite)} not finite"
        )
    failed = [check for check in evidence.checks if check.blocking and not check.passed]
    if failed:
        return verdict("rejected", f"suspect data: {failed[0].note}")
    needed = dict.fromkeys((evidence.metrics[0], *(limit.metric for limit in rules.limits)))
    lacking = [name for name in needed if not math.isfinite(evidence.challenger[name])]
    for name in lacking:
        if evidence.measurable(name):
            return verdict("rejected", f"{name} has no value: {_why_unmeasured(evidence, name)}")
    missed = [check for check in limits if not check.passed and math.isfinite(check.value or 0.0)]
    if missed:
        return verdict("rejected", f"limit missed: {missed[0].note}")
    if lacking:
        return verdict(
            "insufficient",
            f"{lacking[0]} has no value on the holdout: {_why_unmeasured(evidence, lacking[0])}",
        )
    if worse and rules.dummy == "reject":
        return verdict("rejected", worse[0])
    if evidence.kind == "first":
        return verdict("promoted", "first release: limits and sanity checks passed")
    if evidence.kind == "incomparable":
        return verdict(
            "promoted",
            "its champion cannot be compared (another target, columns that left the data, or no value of the metric): "
            "limits and sanity checks passed",
        )
    if evidence.kind == "same recipe":
        return verdict("promoted", "same recipe and same gate fit as the champion; the checks decide")
    return _compared(evidence, rules, margin or 0.0, verdict)


def _is_are(count: int) -> str:
    return "is" if count == 1 else "are"


def _why_unmeasured(evidence: GateEvidence, metric: str) -> str:
    if evidence.measurable(metric):
        return "predictions of the challenger are outside its domain"
    return "its rows lack what the metric needs (of one class, or too few)"


def _margin(evidence: GateEvidence, rules: GateRules) -> float | None:
    """How much worse the challenger may be, in units of the loss; None where nothing is compared."""
    if evidence.difference is None:
        return None
    return allowed(rules, evidence.difference.champion_loss) if evidence.kind == "refresh" else 0.0


def allowed(rules: GateRules, champion_loss: float) -> float:
    """The margin of a refresh in units of the loss."""
    return rules.margin.value if rules.margin.absolute else rules.margin.value * abs(champion_loss)


def with_checks(verdict: Verdict, checks: tuple[Check, ...]) -> Verdict:
    """The verdict after the shipped fit's own checks, which can only take a promotion back."""
    failed = [check for check in checks if check.blocking and not check.passed]
    word, because = verdict.word, verdict.because
    if verdict.word == "promoted" and failed:
        word, because = "rejected", f"the shipped fit failed its check: {failed[0].note}"
    return replace(verdict, word=word, because=because, checks=(*verdict.checks, *checks))


def with_notes(verdict: Verdict, notes: tuple[str, ...]) -> Verdict:
    """The verdict with more sentences that decide nothing."""
    return replace(verdict, notes=(*verdict.notes, *notes)) if notes else verdict


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
            f"the holdout has {counted(difference.clusters, evidence.cluster())}, "
            f"and min_clusters asks for {rules.min_clusters}",
        )
    if math.isnan(difference.upper):
        return verdict(
            "insufficient",
            f"the difference in {difference.metric} has no bounds: it hangs on few {evidence.cluster()}s, "
            "without which it has no value",
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


def _limit_checks(evidence: GateEvidence, rules: GateRules) -> list[Check]:
    checks = []
    for limit in rules.limits:
        value = evidence.challenger[limit.metric]
        for bound, passed, word in (
            (limit.max, limit.max is not None and value <= limit.max, "at most"),
            (limit.min, limit.min is not None and value >= limit.min, "at least"),
        ):
            if bound is not None:
                checks.append(_limit_check(limit, value, bound, passed, word))
    return checks


def _limit_check(limit: Limit, value: float, bound: float, passed: bool, word: str) -> Check:
    said = f"is {number(value)}" if math.isfinite(value) else "has no value"
    note = f"{limit.metric} {said}, {word} {number(bound)} is allowed"
    return Check(name=f"{limit.metric} {word}", value=value, limit=bound, passed=passed, note=note)


def _dummy_notes(evidence: GateEvidence, greater_is_better: Mapping[str, bool]) -> list[str]:
    metric = evidence.metrics[0]
    own, dummy = evidence.challenger.get(metric), evidence.dummy.get(metric)
    if own is None or dummy is None or not (math.isfinite(own) and math.isfinite(dummy)):
        return []
    worse = own <= dummy if greater_is_better[metric] else own >= dummy
    return (
        [f"no better than a constant guess ({metric} {number(own)}, the guess {number(dummy)})"]
        if worse
        else []
    )
