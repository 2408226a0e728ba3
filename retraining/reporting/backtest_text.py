"""A backtest as values, as a document and as text: what each policy cost, and what each model was worth under it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retraining.decide.wording import finite_or_none
from retraining.manifest.values import Json
from retraining.reporting.grouping import wrapped
from retraining.reporting.paint import Paint, plain
from retraining.reporting.text import (
    format_change,
    format_count,
    format_duration,
    format_moment,
    format_number,
    format_signed,
    plural,
)

__all__ = ["Backtest", "Cost", "Difference", "ModelLosses", "Quality", "backtest_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one policy did and what that took.

    `rule` is its text (None: as the manifest has it). `runs` are those in which a node was trained. `fits` are the
    distinct fits that its challengers needed, `seconds` what those took, whoever made them. `outcomes` counts what
    became of challengers.
    """

    policy: str
    rule: str | None
    runs: int
    fits: int
    seconds: float
    outcomes: Mapping[str, int]

    def to_json(self) -> dict[str, Json]:
        """The policy as a document."""
        return {
            "policy": self.policy,
            "rule": self.rule,
            "runs": self.runs,
            "fits": self.fits,
            "seconds": self.seconds,
            "outcomes": dict(self.outcomes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The loss less that of the `reference` policy, with one-sided 95 % bounds; NaN where the days allow none."""

    reference: str
    value: float
    lower: float
    upper: float

    @property
    def verdict(self) -> str:
        """What the bounds say: `better`, `worse`, `not told apart`, or `the same`."""
        if self.value == self.lower == self.upper == 0:
            return "the same"
        if self.upper < 0:
            return "better"
        return "worse" if self.lower > 0 else "not told apart"

    def to_json(self) -> dict[str, Json]:
        """The difference as a document."""
        return {
            "reference": self.reference,
            "value": finite_or_none(self.value),
            "lower": finite_or_none(self.lower),
            "upper": finite_or_none(self.upper),
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What a model was worth under one policy: the metric's `value` in natural sign, and its `loss`.

    `change` is the relative change of the loss against the baseline (None: that policy itself). `difference` is None
    for the policy that is the reference.
    """

    policy: str
    value: float
    loss: float
    change: float | None
    difference: Difference | None
    best: bool

    def to_json(self) -> dict[str, Json]:
        """The quality as a document."""
        return {
            "policy": self.policy,
            "value": finite_or_none(self.value),
            "loss": finite_or_none(self.loss),
            "change": None if self.change is None else finite_or_none(self.change),
            "difference": None if self.difference is None else self.difference.to_json(),
            "best": self.best,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLosses:
    """One model under all policies, on the same labelled rows: of `blocks` blocks of `nodes` nodes, on `days` days.

    `left_out` are blocks of its nodes that count for no policy: under one of them nothing was released that could
    predict them. `policies` is empty where no block is left.
    """

    model: str
    metric: str
    nodes: int
    blocks: int
    rows: int
    days: int
    left_out: int
    policies: tuple[Quality, ...]

    def to_json(self) -> dict[str, Json]:
        """The model as a document."""
        return {
            "model": self.model,
            "metric": self.metric,
            "nodes": self.nodes,
            "blocks": self.blocks,
            "rows": self.rows,
            "days": self.days,
            "left_out": self.left_out,
            "policies": [one.to_json() for one in self.policies],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """What a replay of history found; `begin`, `end` and `steps` are ISO moments in UTC.

    `baseline` is the policy that changes are relative to, `reference` that of the differences. `models` are in the
    order of the table: those that nobody reads first.
    """

    manifest: str
    timezone: str
    begin: str
    end: str
    steps: tuple[str, ...]
    baseline: str
    reference: str
    costs: tuple[Cost, ...]
    models: tuple[ModelLosses, ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """1 where a node failed under a policy."""
        return int(any(cost.outcomes.get("failed") for cost in self.costs))

    def to_json(self) -> dict[str, Json]:
        """The backtest as a document, without `format`."""
        return {
            "manifest": self.manifest,
            "timezone": self.timezone,
            "from": self.begin,
            "to": self.end,
            "steps": list(self.steps),
            "baseline": self.baseline,
            "reference": self.reference,
            "policies": [cost.to_json() for cost in self.costs],
            "models": [model.to_json() for model in self.models],
            "notes": list(self.notes),
            "exit_code": self.exit_code,
        }


def backtest_text(found: Backtest, *, paint: Paint = plain) -> str:
    """The backtest for people: what policies cost, what each model was worth, and how sure that is."""
    begin, end = (format_moment(one, found.timezone) for one in (found.begin, found.end))
    title = f"backtest of {found.manifest}, {begin} to {end}"
    asked = f"  {plural(len(found.costs), 'policy', 'policies')}, asked at {plural(len(found.steps), 'step')}"
    lines = [paint("title", title), asked, "", *_cost_lines(found.costs, paint), ""]
    lines += [line for model in found.models for line in _model_lines(found, model, paint)]
    return "\n".join([*lines, *_meaning(found)]) + "\n"


def _cost_lines(costs: Sequence[Cost], paint: Paint) -> list[str]:
    heads = ["policy", "runs", "fits", "work", "promoted", "rejected"]
    rows = [
        [
            cost.policy,
            format_count(cost.runs),
            format_count(cost.fits),
            format_duration(cost.seconds),
            format_count(cost.outcomes.get("promoted", 0)),
            format_count(cost.outcomes.get("rejected", 0)),
            ", ".join(
                f"{count} {word}"
                for word, count in sorted(cost.outcomes.items())
                if word not in ("promoted", "rejected")
            ),
        ]
        for cost in costs
    ]
    widths = [max(len(row[at]) for row in [heads, *rows]) for at in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        return "  ".join(
            [
                first,
                *(cell.rjust(width) for cell, width in zip(cells[1:6], widths[1:], strict=True)),
                *cells[6:],
            ]
        ).rstrip()

    return [paint("quiet", line(heads)), *(line(row) for row in rows)]


def _model_lines(found: Backtest, model: ModelLosses, paint: Paint) -> list[str]:
    if not model.policies:
        why = f"no block that every policy had a release for ({plural(model.left_out, 'block')} left out)"
        return [f"{paint('name', model.model)}  {why}", ""]
    on = f"{plural(model.rows, 'row')} of {plural(model.days, 'day')}"
    nodes = f", {plural(model.nodes, 'node')}" if model.nodes > 1 else ""
    lines = [f"{paint('name', model.model)}  {model.metric} on {on}{nodes}"]
    if model.left_out:
        lines.append(f"  left out: {plural(model.left_out, 'block')} that not every policy had a release for")
    width = max(len(one.policy) for one in model.policies)
    values = _aligned([format_number(one.value) for one in model.policies])
    changes = ["" if one.change is None else format_change(one.change) for one in model.policies]
    for one, value, change in zip(model.policies, values, changes, strict=True):
        text = f"  {one.policy.ljust(width)}  {value.rjust(max(map(len, values)))}"
        text += f"  {change.rjust(max(map(len, changes)))}  {'best' if one.best else '    '}"
        lines.append(f"{text}  {_difference_text(one.difference)}".rstrip())
    return [*lines, ""]


def _aligned(numbers: Sequence[str]) -> list[str]:
    """The numbers with as many decimals each, so that their points are below each other."""
    decimals = [len(text.partition(".")[2]) for text in numbers]
    most = max(decimals)
    return [
        text if own == most or not text[-1].isdigit() else f"{text}{'' if own else '.'}{'0' * (most - own)}"
        for text, own in zip(numbers, decimals, strict=True)
    ]


def _difference_text(difference: Difference | None) -> str:
    if difference is None:
        return ""
    verdict = difference.verdict
    if verdict == "the same":
        return f"the same as {difference.reference}"
    if difference.lower != difference.lower:
        return "too few days to say how sure"
    bounds = f"({format_signed(difference.lower)} to {format_signed(difference.upper)})"
    than = "" if verdict == "not told apart" else f" than {difference.reference}"
    return f"{verdict}{than} {bounds}"


def _meaning(found: Backtest) -> list[str]:
    told = [
        f"Each block is predicted by the release that was current when it began, before its labels were known; every "
        f"policy is measured on the same rows. Percent: change of the loss against {found.baseline}. In brackets: "
        f"one-sided 95% bounds of the difference in loss to {found.reference}, by drawing days again.",
        "This is one history: a policy that was best in it need not be best in the next. The bounds know of the "
        "chance of days, not of seasons, and are not corrected for how many are compared.",
        *found.notes,
    ]
    return [line for text in told for line in wrapped(text, "  ", "  ")]
