"""The gate: whether a challenger may replace its champion, with every number that was used.

`judge` is a pure function of numbers that workers computed on honest columns (docs/design.md 1, 4).
A refresh must not be worse by more than the margin, a recipe change must be better; both bounds are
one-sided 95 % ends from drawing days or leak groups again (`learn.intervals`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from retraining.decide.evidence import Check, GateEvidence
from retraining.decide.slices import harm_note
from retraining.decide.verdicts import Pooled, Verdict, Word
from retraining.decide.wording import counted, number, signed
from retraining.manifest.values import GateRules, Limit

__all__ = ["allowed", "judge", "judge_in_pool", "own_fault"]


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

    fault = own_fault(evidence)
    if fault:
        return verdict("rejected", fault)
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
            "its champion cannot be compared (another target, gone columns or code, no value of the metric): "
            "limits and sanity checks passed",
        )
    if evidence.kind == "same recipe":
        return verdict("promoted", "same recipe and same gate fit as the champion; the checks decide")
    compared = _compared(evidence, rules, margin or 0.0, verdict)
    if compared.word == "insufficient" and rules.on_insufficient == "ship_if_limits":
        return verdict(
            "promoted", f"{compared.because}; its limits hold, and `on_insufficient` ships it then"
        )
    return compared


def own_fault(evidence: GateEvidence) -> str:
    """What speaks against a challenger whatever it is compared with, or '': predictions or labels that cannot be."""
    if evidence.not_finite:
        count = counted(evidence.not_finite, "prediction")
        return f"{count} of the challenger on the holdout {_is_are(evidence.not_finite)} not finite"
    failed = [check for check in evidence.checks if check.blocking and not check.passed]
    return f"suspect data: {failed[0].note}" if failed else ""


def _is_are(count: int) -> str:
    return "is" if count == 1 else "are"


def _why_unmeasured(evidence: GateEvidence, metric: str) -> str:
    if evidence.measurable(metric):
        return "predictions of the challenger are outside its domain"
    if math.isinf(evidence.challenger[metric]) and math.isinf(evidence.dummy.get(metric, math.nan)):
        return "it overflows, since labels are too large to be squared or added up"
    return "its rows lack what the metric needs (of one class, or too few)"


def _margin(evidence: GateEvidence, rules: GateRules) -> float | None:
    """How much worse the challenger may be, in units of the loss; None where nothing is compared."""
    if evidence.difference is None:
        return None
    return allowed(rules, evidence.difference.champion_loss) if evidence.kind == "refresh" else 0.0


def allowed(rules: GateRules, champion_loss: float) -> float:
    """The margin of a refresh in units of the loss."""
    return rules.margin.value if rules.margin.absolute else rules.margin.value * abs(champion_loss)


def judge_in_pool(own: Verdict, pool: Pooled) -> Verdict:
    """The verdict on one node of a model whose nodes are judged together: the pool's, but for its own fault.

    `own` is what the node's numbers alone would have said; they stay on record, but for its slices.
    """
    if own.evidence is None or own_fault(own.evidence):
        return own
    because = pool.verdict.because
    if pool.nodes > 1:
        because = f"with {counted(pool.nodes, 'node')} of {pool.model}: {because}"
    limits = tuple(replace(check, blocking=False) for check in own.limits)
    evidence = replace(own.evidence, slices=(), losses=None)
    return replace(
        own, word=pool.verdict.word, because=because, limits=limits, evidence=evidence, pooled=pool
    )


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
    if not difference.upper < margin:
        return verdict(
            "rejected",
            f"may be worse than the champion by more than the margin of {number(margin)} ({numbers})"
            if evidence.kind == "refresh"
            else f"a changed recipe must be better than the champion, and this is not shown ({numbers})",
        )
    harm = harm_note(evidence.slices, difference.metric)
    if harm:
        return verdict("rejected", harm)
    if evidence.kind == "recipe":
        return verdict("promoted", f"better than the champion ({numbers})")
    return verdict(
        "promoted", f"not worse than the champion by more than the margin of {number(margin)} ({numbers})"
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
