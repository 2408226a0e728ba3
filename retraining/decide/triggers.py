"""Triggers: what changed since a node was last tried, and whether its rule makes it due.

A trigger compares with the last *attempt*, not with the champion, so a rejected challenger is not
tried again until something changes. The fingerprint says whether there is work, the rule whether it
is due; both must hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, assert_never

from retraining.decide.fits import LeftOut, slice_cells
from retraining.decide.recipes import Recipe
from retraining.decide.snapshots import NodeData
from retraining.manifest.values import (
    Condition,
    DataCondition,
    DefinitionCondition,
    Json,
    Rule,
    UpstreamCondition,
)
from retraining.release.values import Parts

ReasonKind: TypeAlias = Literal["new", "failed before", "forced", "definition", "data", "upstream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One fired trigger with its evidence; `text` says it to people."""

    kind: ReasonKind
    text: str
    evidence: Mapping[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        """The reason as a document."""
        return {"kind": self.kind, "text": self.text, "evidence": dict(self.evidence)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChange:
    """How much training data changed: blocks (time scheme), rows, and their share of the rows before."""

    blocks: int
    rows: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Which parts of a fingerprint differ from the last attempt's."""

    recipe: bool
    fields: tuple[str, ...]
    data: DataChange | None
    upstreams: tuple[str, ...]
    environment: bool
    first: bool = False

    @property
    def any(self) -> bool:
        """True where a fit would differ."""
        return self.recipe or self.data is not None or bool(self.upstreams) or self.environment or self.first

    def with_upstreams(self, names: Sequence[str]) -> Change:
        """The change if these upstream columns changed too."""
        return replace(self, upstreams=tuple(names))

    def summary(self) -> str:
        """What differs, in a few words."""
        parts = []
        if self.recipe:
            parts.append("the definition")
        if self.data is not None:
            parts.append(f"{self.data.rows} training rows")
        if self.upstreams:
            parts.append("upstream versions")
        if self.environment:
            parts.append("library versions")
        return " and ".join(parts) + " differ" if parts else "nothing differs"


def changes_between(
    before: Parts,
    recipe: Recipe,
    data: NodeData,
    shipped: LeftOut,
    *,
    environment: str,
    baseline_definition: Mapping[str, Any] | None,
    baseline_data: NodeData | None,
    upstreams: tuple[str, ...],
) -> Change:
    """What differs between an attempt's parts and what would be trained now.

    The baseline's document is needed only where a digest differs, to say which fields and how many rows.
    """
    fields: tuple[str, ...] = ()
    changed_recipe = before.recipe != recipe.digest()
    if changed_recipe and baseline_definition is not None:
        now = recipe.definition()
        names = now.keys() | baseline_definition.keys()
        fields = tuple(sorted(name for name in names if now.get(name) != baseline_definition.get(name)))
    changed_data = None
    first = recipe.first_block(shipped)
    if before.data != data.slice_digest(shipped, first):
        changed_data = _data_change(data, shipped, first, baseline_data)
    return Change(
        recipe=changed_recipe,
        fields=fields,
        data=changed_data,
        upstreams=upstreams,
        environment=before.environment != environment,
    )


def due_reasons(rule: Rule, change: Change) -> tuple[Reason, ...]:
    """The reasons for which a node is due; empty where its rule's count is not reached."""
    fired = [reason for condition in rule.conditions for reason in _evaluate(condition, change)]
    return tuple(fired) if len(fired) >= rule.at_least else ()


def _evaluate(condition: Condition, change: Change) -> tuple[Reason, ...]:
    if isinstance(condition, DefinitionCondition):
        if not change.recipe or change.first:
            return ()
        what = ", ".join(change.fields) or "its definition"
        return (Reason(kind="definition", text=f"{what} changed", evidence={"fields": list(change.fields)}),)
    if isinstance(condition, UpstreamCondition):
        if not change.upstreams:
            return ()
        names = ", ".join(change.upstreams[:3]) + (" …" if len(change.upstreams) > 3 else "")
        text = f"{names} has a new version"
        return (Reason(kind="upstream", text=text, evidence={"upstreams": list(change.upstreams)}),)
    if isinstance(condition, DataCondition):
        return _data_reasons(condition, change.data)
    assert_never(condition)


def _data_reasons(condition: DataCondition, change: DataChange | None) -> tuple[Reason, ...]:
    if change is None:
        return ()
    if condition.blocks is not None:
        fired, text = change.blocks >= condition.blocks, f"{change.blocks} new or changed blocks"
    elif condition.rows is not None:
        fired, text = change.rows >= condition.rows, f"{change.rows} new or changed rows"
    else:
        fired, text = (
            change.share >= (condition.share or 0.0),
            f"{change.share:.1%} of the rows new or changed",
        )
    if not fired:
        return ()
    evidence: dict[str, Json] = {"blocks": change.blocks, "rows": change.rows, "share": change.share}
    if condition.rows is None:
        text += f", {change.rows} rows"
    return (Reason(kind="data", text=text, evidence=evidence),)


def _data_change(data: NodeData, shipped: LeftOut, first: int | None, before: NodeData | None) -> DataChange:
    """Counts cells that differ; a cell whose rows only grew counts its new rows, at least one.

    Cells that only left the window are no change of the data.
    """
    now = {(cell.part, cell.known): cell for cell in slice_cells(data.cells, shipped, first)}
    if before is None:
        rows = sum(cell.rows for cell in now.values())
        return DataChange(blocks=len({known for _, known in now}), rows=rows, share=1.0)
    old_cells = (
        before.cells
        if before.next_block is None
        else [c for c in before.cells if c.known <= before.next_block]
    )
    old = {(cell.part, cell.known): cell for cell in old_cells if first is None or cell.part >= first}
    blocks: set[int] = set()
    rows = 0
    for key in now.keys() | old.keys():
        was, now_is = old.get(key), now.get(key)
        if was is not None and now_is is not None and was.digest == now_is.digest:
            continue
        blocks.add(key[1] if data.next_block is not None else key[0])
        grown = abs((now_is.rows if now_is else 0) - (was.rows if was else 0))
        rows += max(grown, 1)
    total = sum(cell.rows for cell in old.values())
    return DataChange(blocks=len(blocks), rows=rows, share=rows / total if total else 1.0)
