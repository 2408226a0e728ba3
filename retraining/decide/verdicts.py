"""What a gate decided, as a value and as a document that is complete enough to be read years later."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from retraining.decide.evidence import Check, GateEvidence
from retraining.manifest.values import GateRules, Json

__all__ = ["Pooled", "Verdict", "Word", "insufficient", "rules_to_json", "with_checks", "with_notes"]

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
    pooled: Pooled | None = None
    overruled: Overruled | None = None

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
        if self.overruled is not None:
            doc["overruled"] = self.overruled.to_json()
        evidence = self.evidence
        if evidence is None:
            return doc
        doc |= {**evidence.to_json(), "rules": rules_to_json(self.rules) if self.rules is not None else None}
        if evidence.difference is not None:
            doc["difference"] = evidence.difference.to_json(evidence.kind, self.margin)
        if evidence.slices:
            doc["slices"] = [one.to_json() for one in evidence.slices]
        if self.pooled is not None:
            doc["pooled"] = self.pooled.to_json()
        return doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Overruled:
    """A person's word against the gate: what was said, and what the gate had decided."""

    said: str
    word: Word
    because: str

    def to_json(self) -> dict[str, Json]:
        """What was said and overruled, as a document."""
        return {"said": self.said, "verdict": self.word, "because": self.because}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """The verdict on the nodes of a model together: how many they are, and what was decided of all their rows.

    `late` are those that became due in the middle of the run.
    """

    model: str
    nodes: int
    verdict: Verdict
    late: bool = False

    def to_json(self) -> dict[str, Json]:
        """The verdict as a part of a node's, of which there may be thousands: of the slices those that are harmed."""
        doc = self.verdict.to_json()
        del doc["format"], doc["rules"]
        slices = self.verdict.evidence.slices if self.verdict.evidence is not None else ()
        doc["slices"] = [one.to_json() for one in slices if one.harmed]
        return {"model": self.model, "nodes": self.nodes, **doc}


def rules_to_json(rules: GateRules) -> dict[str, Json]:
    """The settings that a verdict was made under, as a document."""
    return {
        "margin": rules.margin.value,
        "margin_is_absolute": rules.margin.absolute,
        "limits": {limit.metric: {"max": limit.max, "min": limit.min} for limit in rules.limits},
        "min_clusters": rules.min_clusters,
        "refit_shift": rules.refit_shift,
        "dummy": rules.dummy,
        "slices": list(rules.slices),
        "by": rules.by,
    }


def insufficient(because: str) -> Verdict:
    """The verdict where nothing could be compared."""
    return Verdict(word="insufficient", because=because)


def with_checks(
    verdict: Verdict, checks: tuple[Check, ...], what: str = "the shipped fit failed its check"
) -> Verdict:
    """The verdict after more checks, by default the shipped fit's own, which can only take a promotion back."""
    failed = [check for check in checks if check.blocking and not check.passed]
    word, because = verdict.word, verdict.because
    if verdict.word == "promoted" and failed:
        word, because = "rejected", f"{what}: {failed[0].note}"
    return replace(verdict, word=word, because=because, checks=(*verdict.checks, *checks))


def overrule(verdict: Verdict, said: str) -> Verdict:
    """The verdict that a person makes of it: promoted, with the gate's own beside it."""
    gate = f"{verdict.word}: {verdict.because}"
    return replace(
        verdict,
        word="promoted",
        because=f"promoted by {said} (the gate: {gate})",
        overruled=Overruled(said=said, word=verdict.word, because=verdict.because),
    )


def with_notes(verdict: Verdict, notes: tuple[str, ...]) -> Verdict:
    """The verdict with more sentences that decide nothing."""
    return replace(verdict, notes=(*verdict.notes, *notes)) if notes else verdict
