"""The table of verdicts: every number that a gate used, and the interval drawn against its margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.reporting.forest_svg import (
    Axis,
    axes_of,
    axis_head,
    axis_key,
    axis_note,
    describe_difference,
    draw_interval,
)
from retraining.reporting.icons import icon
from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.slices import slice_count
from retraining.reporting.tables import (
    Cell,
    Column,
    Row,
    code,
    disclose,
    left_out,
    minus,
    most_telling,
    node_cell,
    number_cell,
    outcome_badge,
    quiet,
    table,
)
from retraining.reporting.text import format_change, format_moment, format_number, format_signed, plural
from retraining.reporting.view import (
    CheckView,
    Difference,
    NodeView,
    Period,
    PoolView,
    RunView,
    VerdictView,
    is_loss,
)

__all__ = ["describe_period", "draw_verdicts"]

_NOTE = (
    "Challenger and champion are compared on the same held-out rows, which neither was trained on. The "
    "difference is in loss, so left of zero the challenger is better; each end of its line is a "
    "one-sided 95% bound from drawing clusters (days or groups of rows) again. A refresh "
    "passes while its right end stays left of the margin (the dashed mark), a changed "
    "recipe only left of zero."
)
_COMPARISONS = {
    "first": "first version",
    "refresh": "refresh",
    "recipe": "changed recipe",
    "incomparable": "its champion cannot be compared",
    "same recipe": "same gate fit as the champion",
}
_FIRST = (
    "There was no champion to compare with: limits and sanity checks decided. The dummy predicts the mean, "
    "the median or the prior, whatever its rows say."
)


def draw_verdicts(run: RunView) -> Markup:
    """The table of verdicts with a sentence on how to read it; a sentence alone where nothing was judged."""
    with_verdict = [node for node in run.nodes if node.verdict is not None]
    shown = most_telling(with_verdict)
    judged = [(node, node.verdict) for node in shown if node.verdict is not None]
    if not judged:
        return tag("p", {"class": "quiet"}, "No challenger was judged in this run.")
    axes = axes_of(
        (verdict.metric, verdict.difference) for _, verdict in judged if verdict.difference is not None
    )
    has_champion = any(verdict.champion for _, verdict in judged)
    columns = [
        Column(name="Node", kind="node"),
        Column(name="Metric", kind="text"),
        Column(name="Challenger", kind="num"),
        *(
            [Column(name="Champion", kind="num", note="below it: how the challenger differs")]
            if has_champion
            else []
        ),
        Column(name="Dummy", kind="num", note="below it: how the challenger differs"),
        *([Column(name="Difference in loss", kind="plot", head=axis_head(axes))] if axes else []),
        Column(name="Limits and checks", kind="text checks"),
        Column(name="Judged on", kind="text"),
    ]
    rows = [_row(node, verdict, axes, has_champion) for node, verdict in judged]
    note = " ".join(filter(None, [_NOTE if axes else _FIRST, axis_note(axes)]))
    drawn = table("Verdicts with their numbers", columns, rows)
    return join(
        [tag("p", {"class": "note"}, note), _draw_pools(run.pools), drawn, left_out(with_verdict, shown)]
    )


def _draw_pools(pools: Sequence[PoolView]) -> Markup:
    """The table of the verdicts on models whose nodes were judged together, or nothing."""
    if not pools:
        return join([])
    axes = axes_of((one.verdict.metric, one.verdict.difference) for one in pools if one.verdict.difference)
    columns = [
        Column(name="Model", kind="node"),
        Column(name="Metric", kind="text"),
        Column(name="Challengers", kind="num"),
        Column(name="Champions", kind="num", note="below it: how the challengers differ"),
        Column(name="Dummy", kind="num", note="below it: how the challengers differ"),
        *([Column(name="Difference in loss", kind="plot", head=axis_head(axes))] if axes else []),
        Column(name="Limits and slices", kind="text checks"),
        Column(name="Judged on", kind="text"),
    ]
    note = "Of these models all nodes were judged together, by their added losses; below are the nodes' own numbers."
    return join(
        [
            tag("p", {"class": "note"}, note),
            table("Models judged as a whole", columns, [_pool_row(one, axes) for one in pools]),
        ]
    )


def _pool_row(pool: PoolView, axes: Mapping[str, Axis]) -> Row:
    verdict = pool.verdict
    metric = verdict.metric
    mine = verdict.challenger.get(metric)
    badge = tag("span", {"class": "line"}, outcome_badge(verdict.word))
    head = join([code(pool.model), quiet(plural(pool.nodes, "node")), badge, quiet(verdict.because)])
    comparison = _COMPARISONS.get(verdict.comparison, verdict.comparison)
    return Row(
        cells=(
            Cell(content=head, sort=pool.model),
            Cell(content=join([code(metric), quiet(comparison), _other_metrics(verdict)]), sort=metric),
            number_cell(format_number(mine) if mine is not None else "", mine),
            _against(metric, mine, verdict.champion.get(metric)),
            _against(metric, mine, verdict.dummy.get(metric)),
            *([_plot(metric, verdict.difference, axes)] if axes else []),
            Cell(content=_limits_and_checks(verdict), sort=float(verdict.all_passed)),
            Cell(content=describe_period(verdict.holdout), sort=verdict.holdout.rows),
        )
    )


def _row(node: NodeView, verdict: VerdictView, axes: Mapping[str, Axis], has_champion: bool) -> Row:
    metric = verdict.metric
    mine = verdict.challenger.get(metric)
    champion = [_against(metric, mine, verdict.champion.get(metric))] if has_champion else []
    plot = [_plot(metric, verdict.difference, axes)] if axes else []
    comparison = _COMPARISONS.get(verdict.comparison, verdict.comparison)
    return Row(
        node=node.name,
        outcome=node.outcome,
        cells=(
            _verdict_cell(node, verdict),
            Cell(
                content=join(
                    [code(metric), quiet(comparison) if comparison else "", _other_metrics(verdict)]
                ),
                sort=metric,
            ),
            number_cell(format_number(mine) if mine is not None else "", mine),
            *champion,
            _against(metric, mine, verdict.dummy.get(metric)),
            *plot,
            Cell(content=_limits_and_checks(verdict), sort=float(verdict.all_passed)),
            Cell(content=describe_period(verdict.holdout), sort=verdict.holdout.rows),
        ),
    )


def _verdict_cell(node: NodeView, verdict: VerdictView) -> Cell:
    name = node_cell(node)
    badge = tag("span", {"class": "line"}, outcome_badge(verdict.word or node.outcome))
    because = quiet(verdict.because) if verdict.because and verdict.because != node.because else ""
    return Cell(content=join([name.content, badge, because]), sort=name.sort)


def _against(metric: str, mine: float | None, other: float | None) -> Cell:
    if other is None:
        return Cell(content="", sort="")
    change = ""
    if mine is not None:
        change = (
            format_change(mine / other - 1) if is_loss(metric) and other > 0 else format_signed(mine - other)
        )
    return number_cell(format_number(other), other, change)


def _other_metrics(verdict: VerdictView) -> Markup:
    others = sorted(set(verdict.challenger) - {verdict.metric})
    if not others:
        return join([])
    lines = []
    for metric in others:
        parts = [f"challenger {format_number(verdict.challenger[metric])}"]
        for who, numbers in (("champion", verdict.champion), ("dummy", verdict.dummy)):
            if metric in numbers:
                parts.append(f"{who} {format_number(numbers[metric])}")
        lines.append(tag("li", None, code(metric), ": ", ", ".join(parts)))
    return disclose(plural(len(others), "more metric"), tag("ul", {"class": "plain"}, *lines))


def _plot(metric: str, difference: Difference | None, axes: Mapping[str, Axis]) -> Cell:
    if difference is None:
        return Cell(content="", sort="")
    axis = axes[axis_key(metric, difference)]
    margin = difference.in_percent_units(difference.margin)
    limit = f"margin {axis.tick(margin).removeprefix('+')}" if margin else ""
    words = limit
    numbers = tag("span", {"class": "line numbers"}, minus(describe_difference(difference)))
    shown = [draw_interval(difference, axis), numbers, quiet(words) if words else ""]
    return Cell(content=join(shown), sort=difference.in_percent_units(difference.value))


def _limits_and_checks(verdict: VerdictView) -> Markup:
    checks = (*verdict.limits, *verdict.checks)
    failed = [_check(check) for check in checks if check.passed is False]
    others = [_check(check) for check in checks if check.passed is not False]
    notes = [tag("li", None, icon("insufficient"), note) for note in verdict.notes]
    parts: list[Markup] = []
    if failed or notes:
        parts.append(tag("ul", {"class": "plain"}, *failed, *notes))
    if others:
        summary = f"{len(others)} of {len(checks)} passed"
        parts.append(disclose(summary, tag("ul", {"class": "plain"}, *others)))
    if verdict.slices:
        parts.append(tag("a", {"href": "#slices", "class": "line"}, slice_count(verdict.slices)))
    return join(parts)


def _check(check: CheckView) -> Markup:
    sign, word = {True: ("promoted", "passed"), False: ("failed", "not passed"), None: ("kept", "not made")}[
        check.passed
    ]
    if check.passed is False and not check.blocking:
        sign, word = "insufficient", "warns"
    numbers = [format_number(check.value)] if check.value is not None else []
    if check.limit is not None:
        numbers.append(f"limit {format_number(check.limit)}")
    return tag(
        "li",
        None,
        icon(sign),
        tag("span", {"class": "unseen"}, f"{word}: "),
        code(check.name),
        f" {', '.join(numbers)}",
        quiet(check.note) if check.note else "",
    )


def describe_period(period: Period) -> Markup:
    """The rows of a comparison in words: dates, rows, clusters."""
    ends = [format_moment(moment) for moment in (period.start, period.end) if moment]
    dates = join([tag("span", {"class": "whole"}, end) for end in ends], " to ")
    counts = [
        plural(count, noun)
        for count, noun in (
            (period.rows, "row"),
            (period.clusters, "day" if period.start else "group"),
            (period.blocks, "block"),
        )
        if count is not None
    ]
    return join(
        [tag("span", {"class": "line"}, dates) if dates else "", quiet(", ".join(counts)) if counts else ""]
    )
