"""What a run's scan for drift said, as the report shows it; whatever is missing in the record is empty."""

from __future__ import annotations

from dataclasses import dataclass

from retraining.reporting.parts import Part

__all__ = ["DriftView", "Step", "read_drift"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Some days of a strip, ISO dates, and how far they are from the reference (None: unknown)."""

    first: str
    last: str
    effect: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftView:
    """What a scan said of one column; `advice` is what to do about it, "" where there is nothing."""

    kind: str
    column: str
    nodes: tuple[str, ...]
    severity: str
    drifted: bool
    effect: float | None
    floor: float | None
    q: float | None
    metric: str
    before: float | None
    now: float | None
    window: tuple[str, str]
    reference: tuple[str, str]
    strip: tuple[Step, ...]
    advice: str = ""


def read_drift(record: Part) -> tuple[DriftView, ...]:
    """The findings of a run record, in its order."""
    part = record.part("drift")
    advice = {one.text("node"): one for one in part.parts("advice")}
    return tuple(_view(one, advice) for one in part.parts("findings"))


def _view(part: Part, advice: dict[str, Part]) -> DriftView:
    nodes, kind = part.texts("nodes"), part.text("kind")
    said = advice.get(nodes[0]) if nodes and part.flag("drifted") and kind == "loss" else None
    return DriftView(
        kind=kind,
        column=part.text("column"),
        nodes=nodes,
        severity=part.text("severity"),
        drifted=bool(part.flag("drifted")),
        effect=part.number("effect"),
        floor=part.number("floor"),
        q=part.number("q"),
        metric=part.text("metric"),
        before=part.number("before"),
        now=part.number("now"),
        window=(part.part("window").text("from"), part.part("window").text("to")),
        reference=(part.part("reference").text("from"), part.part("reference").text("to")),
        strip=tuple(
            Step(first=step.text("from"), last=step.text("to"), effect=step.number("effect"))
            for step in part.parts("strip")
        ),
        advice="" if said is None else f"{said.text('means')}: {said.text('do')}",
    )
