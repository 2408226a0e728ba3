"""A node's story for people: what it is, what is served and why, what was tried last, what would happen now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.decide.drift import Finding, told
from retraining.decide.facts import Decision
from retraining.reporting.grouping import list_nodes, wrapped
from retraining.reporting.paint import Paint, plain, role_of_outcome
from retraining.reporting.parts import Part
from retraining.reporting.remedies import known_remedy
from retraining.reporting.slices import slice_count
from retraining.reporting.story import Making, Story
from retraining.reporting.text import (
    format_day,
    format_duration,
    format_moment,
    format_number,
    format_share,
    format_signed,
    plural,
)
from retraining.reporting.tracks import read_track, track_text
from retraining.reporting.view import Difference, EdgeView, NodeView, PairView, Period, PoolView, VerdictView

__all__ = ["edges_text", "story_text"]

_MOST_PAIRS = 3
_MOST_DRIFTING = 6
_STATES = (
    ("total", "in all"),
    ("trained", "trained on"),
    ("judged", "judged on"),
    ("purged", "purged from the gate fit (label known too late)"),
    ("unlabelled", "without a label yet"),
    ("no_upstream", "without an honest upstream prediction"),
)
_COMPARISONS = {
    "first": "there was no champion to compare with",
    "refresh": "the same recipe on newer data: it must not be worse by more than the margin",
    "recipe": "a changed recipe: it must be better",
    "incomparable": "its champion cannot be compared (another target, or its columns or its code are gone)",
    "same recipe": "the same recipe and the same gate fit as the champion: the checks decide",
}


def story_text(story: Story, *, paint: Paint = plain) -> str:
    """The story as lines of text, from what the node is to what would happen now."""
    lines = [paint("title", story.node)]
    if story.no_node:
        return "\n".join([*lines, f"  is no node: {story.no_node}"]) + "\n"
    lines += _what_it_is(story)
    if story.champion is not None:
        lines += ["", *_champion(story.champion, story.timezone, paint)]
    else:
        lines += ["", paint("title", "never released")]
    track = read_track(Part(story.performance or {}))
    if track is not None and (told := track_text(track)):
        lines += ["", *told]
    if story.compared is not None:
        asked = f"inputs compared, as asked, on {format_moment(story.compared.time, story.timezone)}"
        lines += ["", paint("title", asked), f"  run {story.compared.run}", *edges_text(story.compared.edges)]
    if story.attempt is not None:
        lines += ["", *_attempt(story.attempt, story.timezone, paint)]
    if story.decision is not None:
        lines += ["", *_now(story.decision, format_moment(story.as_of, story.timezone), paint)]
    if story.drift:
        lines += ["", *_drift(story.drift, paint)]
    return "\n".join(lines) + "\n"


def _drift(found: Sequence[Finding], paint: Paint) -> list[str]:
    """What the scan says of the columns that the node's conditions look at, those that drift first."""
    lines = [paint("title", "drift") + ", as its conditions see it"]
    for one in found[:_MOST_DRIFTING]:
        word = paint("look", "drifts: ") if one.drifted else ""
        lines += wrapped(word + told(one), "  ", "    ")
    if len(found) > _MOST_DRIFTING:
        lines.append(f"  and {plural(len(found) - _MOST_DRIFTING, 'more column')}")
    return lines


def _what_it_is(story: Story) -> list[str]:
    lines = wrapped(story.description, "  ", "  ")
    if story.estimator:
        own = (
            f"{plural(len(story.features), 'feature')} ({', '.join(story.features)})"
            if story.features
            else ""
        )
        read = plural(len(story.reads), "upstream column") if story.reads else ""
        learnt_from = " and ".join(filter(None, (own, read)))
        what = f"{story.estimator} predicts {story.target} of {story.dataset} from {learnt_from}"
        lines += wrapped(what, "  ", "    ")
    about = [
        f"owner {story.owner}" if story.owner else "",
        f"tags {', '.join(story.tags)}" if story.tags else "",
    ]
    lines += wrapped(", ".join(filter(None, about)), "  ", "  ")
    for column, names in story.reads.items():
        lines += wrapped(f"reads {column} from {list_nodes(names) or 'no node'}", "  ", "    ")
    if story.readers:
        lines += wrapped(f"read by {list_nodes(story.readers)}", "  ", "    ")
    if story.model_format.endswith("-joblib"):
        stored = "its released model is stored by joblib: loading it runs code, and needs --allow-joblib"
        lines += wrapped(stored, "  ", "    ")
    if story.orphaned:
        lines.append("  it left the manifest or the data: no longer planned, still served")
    if story.pin is not None:
        day = format_day(story.pin.time, story.timezone)
        lines += wrapped(f"pinned by {story.pin.who} on {day}: {story.pin.because}", "  ", "    ")
    if story.rows:
        lines += wrapped(f"rows now: {_rows(story.rows)}", "  ", "    ")
    return lines


def _champion(made: Making, zone: str, paint: Paint) -> list[str]:
    head = paint("good", "released") + f" version {made.view.version}, since {format_moment(made.time, zone)}"
    lines = [head, *_learnt_before(made, zone), f"  run {made.run}"]
    return lines + _making(made)


def _learnt_before(made: Making, zone: str) -> list[str]:
    return [f"  trained on labels known before {format_day(made.view.cut, zone)}"] if made.view.cut else []


def _attempt(made: Making, zone: str, paint: Paint) -> list[str]:
    word = paint(role_of_outcome(made.outcome), made.outcome)
    return [f"last attempt: {word} on {format_moment(made.time, zone)}, run {made.run}", *_making(made)]


def _making(made: Making) -> list[str]:
    """Why a version was made, how it was judged, what its upstream columns bring, what became of its rows."""
    view = made.view
    lines = []
    for reason in view.reasons:
        lines += wrapped(f"due: {reason.kind}: {reason.text}", "  ", "    ")
    lines += wrapped(f"{made.outcome}: {made.because}", "  ", "    ")
    if made.outcome == "failed":
        step = known_remedy(made.because) or "the next run tries it again"
        lines += wrapped(f"next: {step}", "  ", "    ")
    if view.error and view.error != made.because:
        lines += [f"    {line}" for line in view.error.splitlines()[-12:]]
    if view.verdict is not None:
        lines += _verdict(view.verdict)
    lines += edges_text(view.edges)
    lines += _pairs(view.pairs)
    if view.rows:
        lines += wrapped(f"rows then: {_rows(view.rows)}", "  ", "    ")
    return lines + _coverage(view)


def _verdict(verdict: VerdictView) -> list[str]:
    lines = [f"  {line}" for line in [_judged_on(verdict.holdout)] if line]
    comparison = _COMPARISONS.get(verdict.comparison)
    if comparison:
        lines += wrapped(comparison, "  ", "    ")
    for metric, value in verdict.challenger.items():
        parts = [f"{metric} {format_number(value)}"]
        if metric in verdict.champion:
            parts.append(f"champion {format_number(verdict.champion[metric])}")
        if metric in verdict.dummy:
            parts.append(f"constant guess {format_number(verdict.dummy[metric])}")
        lines.append(f"    {', '.join(parts)}")
    if verdict.difference is not None:
        lines.append(f"    difference in loss {_interval(verdict.difference)}")
    for what, checks in (("limit", verdict.limits), ("check", verdict.checks)):
        for check in checks:
            word = "warns" if check.passed is False and not check.blocking else _passed(check.passed)
            lines += wrapped(f"{what} {check.name} {word}: {check.note}", "    ", "      ")
    for note in verdict.notes:
        lines += wrapped(f"note: {note}", "    ", "      ")
    return lines + _slices(verdict) + _pooled(verdict.pooled)


def _slices(verdict: VerdictView) -> list[str]:
    lines = [f"    {slice_count(verdict.slices)}:"] if verdict.slices else []
    for one in verdict.slices:
        days = plural(one.clusters, "day" if verdict.holdout.start else "group")
        parts = [f"{plural(one.rows, 'row')}, {days}"]
        if one.challenger is not None:
            parts.append(format_number(one.challenger))
        if one.champion is not None:
            parts.append(f"champion {format_number(one.champion)}")
        if one.difference is not None and one.lower is not None and one.upper is not None:
            bounds = f"95% bounds {format_signed(one.lower)} and {format_signed(one.upper)}"
            parts.append(f"difference in loss {format_signed(one.difference)} ({bounds})")
        if one.adjusted is not None and one.margin is not None:
            parts.append(f"margin {format_number(one.margin)}, adjusted p {format_number(one.adjusted)}")
        word = "harmed: " if one.harmed else ""
        lines += wrapped(f"{word}{one.name}: {', '.join(parts)}", "      ", "        ")
    return lines


def _pooled(pool: PoolView | None) -> list[str]:
    """What was said of the nodes of the model together, which decided."""
    if pool is None:
        return []
    nodes = plural(pool.nodes, "node")
    lines = wrapped(
        f"judged together with the others: {pool.model} has {nodes} in this verdict", "  ", "    "
    )
    return [*lines, *(f"  {line}" for line in _verdict(pool.verdict))]


def _judged_on(period: Period) -> str:
    parts = [plural(period.rows, "row")] if period.rows is not None else []
    if period.clusters is not None:
        parts.append(plural(period.clusters, "day" if period.start else "group"))
    when = f" from {period.start} to {period.end}" if period.start and period.end else ""
    return f"judged on {', '.join(parts)}{when}" if parts else ""


def _interval(difference: Difference) -> str:
    text = format_signed(difference.value)
    if difference.lower is not None and difference.upper is not None:
        text += f" (95% bounds {format_signed(difference.lower)} and {format_signed(difference.upper)})"
    if difference.margin:
        text += f", the margin is {format_number(difference.margin, 3)}"
    return f"{text}: {difference.finding}"


def edges_text(edges: Sequence[EdgeView]) -> list[str]:
    """What each upstream column brings, as lines; none where nothing was compared."""
    lines = ["  upstream columns, on the same rows:"] if edges else []
    for edge in edges:
        column = "all of them together" if edge.of_all else edge.column
        if edge.with_column is None or edge.without_column is None:
            lines.append(f"    {column}: not compared")
            continue
        it = "them" if edge.of_all else "it"
        numbers = f"{edge.metric} {format_number(edge.with_column)} with {it}"
        numbers += f", {format_number(edge.without_column)} without"
        lines.append(f"    {column}: {numbers}")
        if edge.difference is not None:
            lines.append(f"      difference in loss {_interval(edge.difference)}")
    return lines


def _pairs(pairs: Sequence[PairView]) -> list[str]:
    """The newest checks with other upstream columns: of a champion what it is released with, else why it is not."""
    lines = []
    for pair in pairs[-_MOST_PAIRS:]:
        when = f" on {pair.time[:10]}" if pair.time else ""
        word = "passed" if pair.passed else "missed"
        what = (
            f"pair check{when} {word}, with the new columns of {list_nodes(pair.upstreams)}: {pair.because}"
        )
        lines += wrapped(what, "  ", "    ")
        if pair.before is not None and pair.after is not None:
            own = "by itself: " if pair.together else ""
            numbers = f"{format_number(pair.before)} before, {format_number(pair.after)} with them"
            lines.append(f"    {own}{pair.metric} {numbers}")
        if pair.difference is not None:
            lines.append(f"    difference in loss {_interval(pair.difference)}")
    return lines


def _rows(rows: Mapping[str, int]) -> str:
    known = [f"{rows[key]:,} {what}" for key, what in _STATES if rows.get(key)]
    other = [f"{number:,} {key}" for key, number in rows.items() if number and key not in dict(_STATES)]
    return ", ".join([*known, *other])


def _coverage(view: NodeView) -> list[str]:
    return [
        f"  {one.column} was there for {format_share(one.coverage)} of the rows"
        for one in view.inputs
        if one.coverage is not None
    ]


def _passed(passed: bool | None) -> str:
    return "not made" if passed is None else "passed" if passed else "missed"


def _now(decision: Decision, moment: str, paint: Paint) -> list[str]:
    condition = " if an upstream column changes" if decision.conditional else ""
    lines = [f"now ({moment}): {paint('title', decision.action)}{condition}"]
    for reason in decision.reasons:
        lines += wrapped(f"{reason.kind}: {reason.text}", "  ", "    ")
    if decision.note:
        lines += wrapped(decision.note, "  ", "    ")
    if decision.action == "retrain":
        least, most = decision.fits
        fits = plural(most, "fit") if least == most else f"{least} to {plural(most, 'fit')}"
        more = f" and {plural(decision.comparisons, 'comparison')}" if decision.comparisons else ""
        cost = f", about {format_duration(decision.seconds)}" if decision.seconds is not None else ""
        lines.append(f"  {fits}{more}{cost}")
    if decision.first_predicted:
        lines.append(f"  its first honest prediction is for {decision.first_predicted}")
    return lines
