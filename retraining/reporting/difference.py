"""How two releases differ, as a value and as text: nodes added, removed and changed, and in what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from retraining.manifest.values import Json
from retraining.release.rollback import Change
from retraining.reporting.grouping import list_nodes, wrapped
from retraining.reporting.history import ReleaseEntry
from retraining.reporting.paint import Paint, Role, plain
from retraining.reporting.text import format_day, format_moment, format_number, plural, shorten

__all__ = ["NodeDifference", "ReleaseDifference", "difference_text"]

_MOST_NODES = 40
_MOST_LETTERS = 60
_ROLES: Mapping[Change, Role] = {"added": "good", "removed": "bad", "changed": "look"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDifference:
    """One node that two releases serve otherwise: each pair is (before, after), None where it is not served.

    `recipe` has the fields of the recipe that differ, by their path; `rows` the rows by state; `metrics`
    what each version's own gate measured on its own holdout; `upstreams` the versions that it reads.
    """

    node: str
    change: Change
    version: tuple[str | None, str | None]
    cut: tuple[str | None, str | None]
    recipe: Mapping[str, tuple[Json, Json]] = field(default_factory=dict)
    rows: Mapping[str, tuple[Json, Json]] = field(default_factory=dict)
    metrics: Mapping[str, tuple[Json, Json]] = field(default_factory=dict)
    upstreams: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """The difference as a document."""
        return {
            "node": self.node,
            "change": self.change,
            "version": list(self.version),
            "cut": list(self.cut),
            "recipe": {name: list(pair) for name, pair in self.recipe.items()},
            "rows": {name: list(pair) for name, pair in self.rows.items()},
            "metrics": {name: list(pair) for name, pair in self.metrics.items()},
            "upstreams": {name: list(pair) for name, pair in self.upstreams.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDifference:
    """Two releases of one store. `logical` are their logical digests, equal for equal releases.

    `same` counts the nodes that both serve alike; `nodes` are all others.
    """

    before: ReleaseEntry
    after: ReleaseEntry
    logical: tuple[str, str]
    same: int
    nodes: tuple[NodeDifference, ...]

    @property
    def equal(self) -> bool:
        """Whether both serve the same nodes in the same versions."""
        return not self.nodes

    def count(self, change: Change) -> int:
        """How many nodes were changed in this way."""
        return sum(node.change == change for node in self.nodes)

    def to_json(self) -> dict[str, Json]:
        """The difference as a document."""
        return {
            "before": {**self.before.to_json(), "logical": self.logical[0]},
            "after": {**self.after.to_json(), "logical": self.logical[1]},
            "equal": self.equal,
            "logically_equal": self.logical[0] == self.logical[1],
            "counts": {
                "added": self.count("added"),
                "removed": self.count("removed"),
                "changed": self.count("changed"),
                "same": self.same,
            },
            "nodes": [node.to_json() for node in self.nodes],
        }


def difference_text(difference: ReleaseDifference, *, paint: Paint = plain) -> str:
    """The difference for people: both releases, how many nodes differ, and in what each does."""
    lines = [*_head("from", difference.before, paint), *_head("to", difference.after, paint), ""]
    for node in difference.nodes[:_MOST_NODES]:
        lines += [*_node(node, difference.after.timezone, paint), ""]
    more = difference.nodes[_MOST_NODES:]
    if more:
        lines += [
            *wrapped(f"and {plural(len(more), 'node')}: {list_nodes(one.node for one in more)}", "", "  "),
            "",
        ]
    return "\n".join([*lines, paint("title", _counted(difference))]) + "\n"


def _head(word: str, release: ReleaseEntry, paint: Paint) -> list[str]:
    made = f"{format_moment(release.time, release.timezone)} by {release.who}"
    back = f", back to release {release.restored}" if release.restored is not None else ""
    lines = [paint("title", f"{word} release {release.number}") + f" of {made}{back}"]
    return lines + (wrapped(f"because: {release.because}", "  ", "    ") if release.because else [])


def _counted(difference: ReleaseDifference) -> str:
    if difference.equal:
        what = f"both serve the same {plural(difference.same, 'node')} in the same versions"
        same = difference.logical[0] == difference.logical[1]
        return what if same else f"{what}; what is remembered of attempts and pins differs"
    words: Sequence[Change] = ("added", "removed", "changed")
    parts = [f"{difference.count(word):,} {word}" for word in words if difference.count(word)]
    verb = "differs" if len(difference.nodes) == 1 else "differ"
    return f"{plural(len(difference.nodes), 'node')} {verb}: {', '.join(parts)}; {difference.same:,} the same"


def _node(node: NodeDifference, zone: str, paint: Paint) -> list[str]:
    lines = [f"{paint(_ROLES[node.change], node.change)} {paint('name', node.node)}"]
    pairs: list[tuple[str, str, str]] = []
    if node.version[0] != node.version[1]:
        pairs.append(("version", *_both(node.version, str)))
    if node.cut[0] != node.cut[1]:
        pairs.append(("labels before", *_both(node.cut, lambda cut: format_day(str(cut), zone))))
    pairs += [(name, *_both(pair, _told)) for name, pair in node.recipe.items()]
    pairs += [(f"rows {name}", *_both(pair, _told)) for name, pair in node.rows.items()]
    pairs += [(name, *_both(pair, _told)) for name, pair in node.metrics.items()]
    pairs += [(f"reads {name}", *_both(pair, str)) for name, pair in node.upstreams.items()]
    for name, before, after in pairs:
        if node.change == "added":
            lines.append(f"  {name}: {after}")
        elif node.change == "removed":
            lines.append(f"  {name}: {before}")
        else:
            lines += wrapped(f"{name}: {before} -> {after}", "  ", "    ")
    return lines


def _both(pair: tuple[Json, Json], told: Callable[[Json], str]) -> tuple[str, str]:
    before, after = pair
    return ("none" if before is None else told(before), "none" if after is None else told(after))


def _told(value: Json) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        return shorten(text, _MOST_LETTERS) or "none"
    return f"{value:,}" if isinstance(value, int) else format_number(value)
