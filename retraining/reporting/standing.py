"""What is current in a store, as a value and as text: the release, each node's version and last attempt.

Built from the head of the log alone, so it says what is served whatever the manifest says now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retraining.manifest.values import Json
from retraining.release.values import Pin
from retraining.reporting.grouping import by_cause, list_nodes, wrapped
from retraining.reporting.outcomes import describe_outcome, tally
from retraining.reporting.paint import Paint, plain, role_of_outcome
from retraining.reporting.remedies import next_step
from retraining.reporting.text import format_day, format_moment, plural

__all__ = ["NodeStanding", "Standing", "standing_text"]

_WIDTH = 80
_MOST_NODES = 60
_MOST_CAUSES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStanding:
    """One node: its champion, and what became of the last attempt to replace it.

    `version` is None for a node that was never released. `trained_through` is the moment of the
    version's cut (None in the fold scheme). Moments are ISO texts. An orphaned node left the manifest.
    `pin` says who keeps it as it is, since when, and why. `since` is when a challenger first had to wait for
    the nodes `waits_for`.
    """

    node: str
    model: str
    version: str | None
    trained_through: str | None
    released: str
    run: str
    outcome: str
    because: str
    attempted: str
    orphaned: bool
    pin: Pin | None = None
    since: str = ""
    waits_for: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """The node as a document."""
        return {
            "node": self.node,
            "model": self.model,
            "version": self.version,
            "trained_through": self.trained_through,
            "released": self.released or None,
            "run": self.run or None,
            "orphaned": self.orphaned,
            "pin": None if self.pin is None else self.pin.to_json(),
            "last_attempt": {
                "outcome": self.outcome,
                "because": self.because,
                "time": self.attempted,
                "since": self.since or None,
                "waits_for": list(self.waits_for),
            }
            if self.outcome
            else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The current release and every node that the store remembers, sorted by name.

    `untried` are the manifest's models of which the store knows no node; `timezone` is the manifest's,
    in which moments are shown.
    """

    store: str
    manifest: str
    release: int | None
    released: str
    who: str
    run: str
    sequence: int
    nodes: tuple[NodeStanding, ...]
    untried: tuple[str, ...] = ()
    timezone: str = "UTC"

    def to_json(self) -> dict[str, Json]:
        """The standing as a document (format 1)."""
        return {
            "format": 1,
            "store": self.store,
            "manifest": self.manifest or None,
            "release": self.release,
            "released": self.released or None,
            "who": self.who or None,
            "run": self.run or None,
            "sequence": self.sequence,
            "timezone": self.timezone,
            "counts": self._counts(),
            "nodes": [node.to_json() for node in self.nodes],
            "untried_models": list(self.untried),
        }

    def _counts(self) -> dict[str, Json]:
        attempts: dict[str, Json] = dict(tally(node.outcome for node in self.nodes if node.outcome))
        return {
            "released": sum(node.version is not None for node in self.nodes),
            "never_released": sum(node.version is None for node in self.nodes),
            "orphaned": sum(node.orphaned for node in self.nodes),
            "pinned": sum(node.pin is not None for node in self.nodes),
            "last_attempts": attempts,
        }


def standing_text(standing: Standing, *, every_node: bool = False, paint: Paint = plain) -> str:
    """The standing for people: the release, the nodes (models, where there are many), what needs a look."""
    lines = [*_head(standing, paint), ""]
    if standing.nodes:
        rows = _node_rows if every_node or len(standing.nodes) <= _MOST_NODES else _model_rows
        lines += [*_table(rows(standing), standing, paint), ""]
    attention = _attention(standing, paint)
    pinned = _pinned(standing)
    if pinned:
        lines += [paint("title", "pinned"), *pinned, ""]
    if attention:
        lines += [paint("title", "needs a look"), *attention, ""]
    return "\n".join([*lines, paint("title", _counted(standing))]) + "\n"


def _head(standing: Standing, paint: Paint) -> list[str]:
    name = standing.manifest or standing.store
    if standing.release is None:
        return [paint("title", f"{name}: nothing is released yet"), f"  store {standing.store}"]
    return [
        paint("title", f"{name}: release {standing.release} is current"),
        f"  made {format_moment(standing.released, standing.timezone)} by {standing.who}, run {standing.run}",
        f"  store {standing.store}",
    ]


_Cells = tuple[str, str, str, str, str]
_TITLES: _Cells = ("node", "version", "trained to", "released", "attempt")


def _node_rows(standing: Standing) -> list[_Cells]:
    zone = standing.timezone
    return [
        (
            node.node + (" (orphaned)" if node.orphaned else "") + (" (pinned)" if node.pin else ""),
            node.version or "never released",
            _day(node.trained_through, zone) if node.version else "",
            _day(node.released, zone),
            _attempt(node, zone),
        )
        for node in standing.nodes
    ]


def _model_rows(standing: Standing) -> list[_Cells]:
    zone = standing.timezone
    models: dict[str, list[NodeStanding]] = {}
    for node in standing.nodes:
        models.setdefault(node.model, []).append(node)
    return [
        (
            list_nodes([node.node for node in group]),
            plural(sum(node.version is not None for node in group), "version"),
            _span([_day(node.trained_through, zone) for node in group if node.version]),
            _span([_day(node.released, zone) for node in group]),
            ", ".join(f"{number:,} {word}" for word, number in tally(n.outcome for n in group if n.outcome)),
        )
        for group in models.values()
    ]


def _table(rows: Sequence[_Cells], standing: Standing, paint: Paint) -> list[str]:
    timeless = not any(node.trained_through for node in standing.nodes)
    columns = [place for place in range(len(_TITLES)) if not (timeless and place == 2)]
    widths = {place: max(len(row[place]) for row in [_TITLES, *rows]) for place in columns}
    last, middle = columns[-1], columns[1:-1]
    room = _WIDTH - sum(2 + widths[place] for place in middle) - 2 - len("promoted")
    # a name that leaves no room has a line of its own, and so has an outcome for which none is left
    widths[0] = min(widths[0], max(room, len(_TITLES[0])))
    left = sum(2 + widths[place] for place in middle) + widths[0] + 2
    lines = [paint("quiet", "  ".join(_TITLES[place].ljust(widths[place]) for place in columns).rstrip())]
    for row in rows:
        name = row[0]
        if len(name) > widths[0]:
            lines += [paint("name", line) for line in wrapped(name, "", "  ")]
            name = ""
        cells = [paint("name", name.ljust(widths[0])), *(row[place].ljust(widths[place]) for place in middle)]
        role = role_of_outcome(row[last].split(" ")[0])
        if left + len(row[last]) <= _WIDTH:
            lines.append("  ".join([*cells, paint(role, row[last])]).rstrip())
            continue
        below = " " * (widths[0] + 2)
        lines.append("  ".join(cells).rstrip())
        lines += [below + paint(role, line) for line in wrapped(row[last], "", "", _WIDTH - len(below))]
    return lines


def _attention(standing: Standing, paint: Paint) -> list[str]:
    """What is not as it should be, told once for the nodes that share it, with the day since when."""
    odd = [node for node in standing.nodes if node.outcome and describe_outcome(node.outcome).attention]
    lines: list[str] = []
    for word, _ in reversed(tally(node.outcome for node in odd)):
        causes = by_cause((node.node, node.because) for node in odd if node.outcome == word)
        for because, names in causes[:_MOST_CAUSES]:
            since = _span(
                [_day(one.since or one.attempted, standing.timezone) for one in odd if one.node in names]
            )
            lines.append(f"  {paint(role_of_outcome(word), word)} since {since}: {list_nodes(names)}")
            lines += wrapped(because, "    ", "      ")
            step = next_step(word, because)
            lines += wrapped(f"next: {step}", "    ", "      ") if step else []
        rest = sum(len(names) for _, names in causes[_MOST_CAUSES:])
        if rest:
            lines.append(f"  {word}: {plural(rest, 'more node')} for other reasons; --format json lists them")
    if standing.untried:
        lines += wrapped(f"never tried: {', '.join(standing.untried)}", "  ", "    ")
    return lines


def _pinned(standing: Standing) -> list[str]:
    """Who keeps which nodes as they are, and why: told once for what was pinned together."""
    words = {
        (node.pin.because, node.pin.who, _day(node.pin.time, standing.timezone)): None
        for node in standing.nodes
        if node.pin is not None
    }
    lines: list[str] = []
    for because, who, day in words:
        names = [
            node.node
            for node in standing.nodes
            if node.pin is not None
            and (node.pin.because, node.pin.who, _day(node.pin.time, standing.timezone))
            == (because, who, day)
        ]
        lines += wrapped(f"{list_nodes(names)}: by {who} on {day}: {because}", "  ", "    ")
    return lines


def _counted(standing: Standing) -> str:
    released = sum(node.version is not None for node in standing.nodes)
    orphaned = sum(node.orphaned for node in standing.nodes)
    attempts = ", ".join(f"{n:,} {word}" for word, n in tally(n.outcome for n in standing.nodes if n.outcome))
    parts = [f"{released:,} released"]
    if len(standing.nodes) > released:
        parts.append(f"{len(standing.nodes) - released:,} never released")
    if orphaned:
        parts.append(f"{orphaned:,} orphaned")
    pinned = sum(node.pin is not None for node in standing.nodes)
    if pinned:
        parts.append(f"{pinned:,} pinned")
    text = f"{plural(len(standing.nodes), 'node')}: {', '.join(parts)}"
    return f"{text}; last attempts: {attempts}" if attempts else text


def _attempt(node: NodeStanding, zone: str) -> str:
    if not node.outcome:
        return ""
    day = _day(node.attempted, zone)
    same = node.outcome == "promoted" and day == _day(node.released, zone)
    return node.outcome if same else f"{node.outcome} {day}"


def _day(moment: str | None, zone: str) -> str:
    return format_day(moment, zone) if moment else ""


def _span(days: Sequence[str]) -> str:
    known = sorted(filter(None, set(days)))
    return "" if not known else known[0] if len(known) == 1 else f"{known[0]} to {known[-1]}"
