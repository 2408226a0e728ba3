"""A scan for drift for people: what to act on first, what it means, and what may be left alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Final

from retraining.decide.advice import Advice, Scan
from retraining.decide.drift import LEAST_DAYS, Finding, Severity, day_text
from retraining.reporting.paint import Paint, Role, plain
from retraining.reporting.text import format_change, format_moment, format_number, join_words, plural

__all__ = ["drift_text"]

_WIDTH: Final = 80
_INDENT: Final = " " * 7
_ROLES: Final[dict[Severity, Role]] = {"act": "bad", "watch": "look", "info": "quiet"}
#: Findings of one severity that are shown; the document has all.
_SHOWN: Final = 8


def drift_text(scan: Scan, *, timezone: str = "UTC", paint: Paint = plain) -> str:
    """The scan as lines of at most 80 characters, where names are not longer: the most severe first."""
    when = format_moment(scan.as_of, timezone)
    lines = [paint("title", f"drift of release {scan.release} at {when}"), *_counts(scan)]
    for severity in ("act", "watch", "info"):
        found = [one for one in scan.findings if one.drifted and one.severity == severity]
        if found:
            lines += ["", *_group(severity, found, scan, paint)]
    lines += ["", *_rest(scan)]
    return "\n".join(lines) + "\n"


def _counts(scan: Scan) -> list[str]:
    tested = [one for one in scan.findings if one.tested]
    worse, moved, other = (
        sum(one.drifted for one in tested if one.kind == kind) for kind in ("loss", "prediction", "inputs")
    )
    looked = f"{plural(len(tested), 'column')} of {plural(scan.nodes, 'node')} tested in one scan"
    if not any((worse, moved, other)):
        return [f"  nothing drifts: {looked}" if tested else "  nothing could be tested"]
    counts = [
        (worse, "loss is worse", "losses are worse"),
        (moved, "prediction column has moved", "prediction columns have moved"),
        (other, "input differs", "inputs differ"),
    ]
    told = [plural(count, one, many) for count, one, many in counts if count]
    ends = [one.window for one in tested if one.window is not None]
    days = f"{day_text(min(first for first, _ in ends))} to {day_text(max(last for _, last in ends))}"
    return [*_wrapped(", ".join(told), "  "), *_wrapped(f"{looked}, days {days}", "  ")]


def _group(severity: Severity, found: Sequence[Finding], scan: Scan, paint: Paint) -> list[str]:
    lines: list[str] = []
    advice = {one.node: one for one in scan.advice}
    for one in found[:_SHOWN]:
        lines += _finding(severity, one, paint)
        if severity == "act" and one.nodes[0] in advice:
            lines += _advice(advice[one.nodes[0]])
    if len(found) > _SHOWN:
        more = join_words([one.column for one in found[_SHOWN:]], 4)
        lines += _wrapped(f"and {len(found) - _SHOWN} more: {more} (--format json has all)", _INDENT)
    match severity:
        case "act":
            lines += _wrapped(
                "`retrain run` acts on it where the rule has `drift: {column: loss}`; `--force NODE` does anywhere.",
                _INDENT,
            )
        case "watch":
            lines += _watch([advice[one.nodes[0]] for one in found if one.nodes[0] in advice])
        case _:
            lines += _wrapped(
                "Inputs differ with every season. Nothing to do: whether it matters is what the predictions and "
                "the losses say.",
                _INDENT,
            )
    return lines


def _watch(said: Sequence[Advice]) -> list[str]:
    """What moved predictions mean, each story once with those that it is about."""
    lines: list[str] = []
    for story in ("moved", "unknown"):
        about = [one for one in said if one.story == story]
        if not about:
            continue
        nodes = join_words([one.node for one in about], 3)
        lines += _wrapped(f"{nodes}: {about[0].text}.", _INDENT)
        readers = list(dict.fromkeys(name for one in about for name in one.retrain))
        if readers:
            lines += _wrapped(f"-> retrain the readers: {join_words(readers, 4)}", _INDENT)
        elif story == "unknown":
            lines += _wrapped("-> look again when labels are known", _INDENT)
    return lines


def _finding(severity: Severity, one: Finding, paint: Paint) -> list[str]:
    word = paint(_ROLES[severity], f"{severity.upper() if severity == 'act' else severity:<6} ")
    name = {"loss": "loss of ", "prediction": "predictions of ", "inputs": ""}[one.kind] + one.column
    first = f"{name}  {_size(one)}"
    short = len(first) + len(_INDENT) <= _WIDTH
    lines = [word + first] if short else [word + name, _INDENT + _size(one)]
    if severity != "act":
        return lines
    assert one.window is not None
    assert one.reference is not None
    season = "the same season, " if one.seasonal else ""
    days = (
        f"{day_text(one.window[0])} to {day_text(one.window[1])} against {season}"
        f"{day_text(one.reference[0])} to {day_text(one.reference[1])} ({one.days[0]} days)"
    )
    return [*lines, *_wrapped(days, _INDENT)]


def _size(one: Finding) -> str:
    assert one.adjusted is not None
    if one.kind == "loss":
        size = f"{one.metric} {format_number(one.before)} -> {format_number(one.now)} ({format_change(one.effect)})"
    else:
        size = f"PSI {one.effect:.2f}"
        if math.isfinite(one.before) and math.isfinite(one.now):
            size += f", mean {format_number(one.before)} -> {format_number(one.now)}"
    return f"{size}, q {one.adjusted:.3f}"


def _advice(said: Advice) -> list[str]:
    lines = _wrapped(said.text[0].upper() + said.text[1:] + ".", _INDENT)
    if said.causes and said.story == "world":
        lines += _wrapped(f"Moved: {join_words(said.causes, 4)}.", _INDENT)
    return [*lines, *_wrapped("-> " + said.action, _INDENT)]


def _rest(scan: Scan) -> list[str]:
    lines: list[str] = []
    quiet = [one for one in scan.findings if one.tested and not one.drifted]
    if quiet:
        lines.append(f"  quiet    {plural(len(quiet), 'column')}{_kinds(quiet)}")
    few = [one for one in scan.findings if not one.tested and one.window is not None]
    if few:
        text = f"too few days to tell, {LEAST_DAYS} are needed: {join_words(_labels(few), 3)}"
        lines += _wrapped(f"early    {text}", "  ", "           ")
    none = [one for one in scan.findings if one.window is None]
    if none:
        text = f"no days since the champion's cut: {join_words(_labels(none), 3)}"
        lines += _wrapped(f"no days  {text}", "  ", "           ")
    for why in dict.fromkeys(scan.unmeasured.values()):
        nodes = [node for node, text in scan.unmeasured.items() if text == why]
        lines += _wrapped(f"unknown  {join_words(nodes, 3)}: {why}", "  ", "           ")
    return lines


def _labels(found: Iterable[Finding]) -> list[str]:
    return [f"{one.kind} of {one.column}" if one.kind != "inputs" else one.column for one in found]


def _kinds(found: Sequence[Finding]) -> str:
    words = {"loss": ("loss", "losses"), "prediction": ("prediction column", None), "inputs": ("input", None)}
    told = [
        plural(count, *words[kind]) for kind in words if (count := sum(one.kind == kind for one in found))
    ]
    return f": {join_words(told)}" if told else ""


def _wrapped(text: str, indent: str, then: str | None = None) -> list[str]:
    return wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if then is None else then,
        break_long_words=False,
        break_on_hyphens=False,
    )
