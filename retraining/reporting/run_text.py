"""What a run did, for people: the release before and after, everything that needs a look, one last line that counts.

Causes that are the same are told once with the nodes that share them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retraining.reporting.grouping import by_cause, list_nodes, wrapped
from retraining.reporting.outcomes import order_of_outcome, tally
from retraining.reporting.paint import Paint, plain, role_of_outcome
from retraining.reporting.remedies import next_step
from retraining.reporting.text import format_duration, plural

__all__ = ["last_line", "outcome_text", "release_line"]

_MOST_CAUSES = 12
_WIDTH = 80
#: Where nodes and causes begin: after the longest outcome.
_INDENT = len("  insufficient ")


def release_line(before: int | None, after: int | None) -> str:
    """What became of the current release: `release 3 -> 4`, that it is the first, or that it stays."""
    if after is None:
        return "nothing is released yet"
    if after == before:
        return f"release {after} stays"
    return f"release {after} is the first" if before is None else f"release {before} -> {after}"


def outcome_text(
    outcomes: Mapping[str, tuple[str, str]], errors: Mapping[str, str], *, paint: Paint = plain
) -> str:
    """The outcomes that are neither promoted nor kept, with their causes; then why nodes were kept.

    `outcomes` maps a node to (word, because), `errors` to the whole text of what its training raised.
    """
    lines: list[str] = []
    for word, _ in tally(word for word, _ in outcomes.values()):
        if word == "promoted":
            continue
        pairs = [
            (node, _cause(node, because, errors))
            for node, (found, because) in outcomes.items()
            if found == word
        ]
        lines += _section(word, pairs, paint)
    return "".join(f"{line}\n" for line in lines)


def last_line(
    counts: Mapping[str, int], fits_made: int, fits_reused: int, seconds: float, *, again: int = 0
) -> str:
    """One line that counts every outcome, the fits made and reused, and the time.

    `again` of the fits made had been begun before and were cut off, or were found damaged.
    """
    ordered = sorted(counts.items(), key=lambda item: order_of_outcome(item[0]))
    parts = ", ".join(f"{number:,} {word}" for word, number in ordered)
    repeated = f" ({again:,} of them again)" if again else ""
    fits = f"{plural(fits_made, 'fit')} made{repeated}, {fits_reused:,} reused"
    return f"{plural(sum(counts.values()), 'node')}: {parts or 'none'}; {fits}; {format_duration(seconds)}"


def _cause(node: str, because: str, errors: Mapping[str, str]) -> str:
    error = errors.get(node, "").strip()
    return error if error and error != because else because


def _section(word: str, pairs: Sequence[tuple[str, str]], paint: Paint) -> list[str]:
    lines = []
    causes = by_cause(pairs)
    for cause, nodes in causes[:_MOST_CAUSES]:
        names = list_nodes(nodes) + (f" ({plural(len(nodes), 'node')})" if len(nodes) > 1 else "")
        first, *more = wrapped(names, "", "", _WIDTH - _INDENT)
        lines.append(f"  {paint(role_of_outcome(word), word.ljust(12))} {paint('name', first)}")
        lines += [" " * _INDENT + paint("name", line) for line in more]
        for line in cause.splitlines() or [""]:
            lines += wrapped(line, " " * _INDENT, " " * (_INDENT + 2))
        step = next_step(word, cause)
        lines += wrapped(f"next: {step}", " " * _INDENT, " " * (_INDENT + 2)) if step else []
    rest = sum(len(nodes) for _, nodes in causes[_MOST_CAUSES:])
    if rest:
        lines.append(f"  {word.ljust(12)} {plural(rest, 'more node')} for other reasons; see the report")
    return lines
