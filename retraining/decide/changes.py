"""What changed since a node was last tried: the parts of the fingerprint that differ, and how much data did.

It is compared with the last *attempt*, not with the champion, so a rejected challenger is not tried
again until something changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from retraining.decide.fits import Cell, LeftOut, slice_cells
from retraining.decide.recipes import Recipe
from retraining.decide.snapshots import SAMPLE, NodeData
from retraining.decide.wording import counted
from retraining.release.values import Parts

__all__ = ["NOTHING_CHANGED", "Change", "DataChange", "changes_between"]

#: Fields of a definition that say which cells and words rows become: data under others cannot be compared.
_SHAPING = frozenset({"features", "target", "validation", "timezone", "partition", "seed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChange:
    """How much training data changed: blocks (or folds, as `part` says), rows, and their share of the rows before."""

    blocks: int
    rows: int
    share: float
    part: Literal["block", "fold"] = "block"


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
            parts.append(counted(self.data.rows, "training row"))
        if self.upstreams:
            parts.append("upstream versions")
        if self.environment:
            parts.append("library versions")
        return " and ".join(parts) + " differ" if parts else "nothing differs"


NOTHING_CHANGED = Change(recipe=False, fields=(), data=None, upstreams=(), environment=False)


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
        comparable = not _SHAPING & set(fields)
        ship = (baseline_definition or {}).get("ship", "refit")
        learnt = None if baseline_data is None else baseline_data.shipped(ship)
        changed_data = _data_change(data, shipped, first, baseline_data, learnt, comparable)
    return Change(
        recipe=changed_recipe,
        fields=fields,
        data=changed_data,
        upstreams=upstreams,
        environment=before.environment != environment,
    )


def _data_change(
    data: NodeData,
    shipped: LeftOut,
    first: int | None,
    before: NodeData | None,
    learnt: LeftOut | None,
    comparable: bool,
) -> DataChange | None:
    """How much the training rows changed; None where rows that cannot be compared are as many as before.

    `learnt` is what the fit left out that shipped, or would have, when the rows were as `before`.

    Cells that only left the window (`first` is its first block) are no change of the data.
    """
    part: Literal["block", "fold"] = "fold" if data.next_block is None else "block"
    now = {(cell.part, cell.known): cell for cell in slice_cells(data.cells, shipped, first)}
    if before is None or learnt is None:
        rows = sum(cell.rows for cell in now.values())
        return DataChange(blocks=len(_blocks(now, part)), rows=rows, share=1.0, part=part)
    old = {(cell.part, cell.known): cell for cell in slice_cells(before.cells, learnt, first)}
    total = sum(cell.rows for cell in old.values())
    grown = sum(cell.rows for cell in now.values()) - total
    if not comparable:
        rows = abs(grown)
        share = rows / total if total else 1.0
        return DataChange(blocks=0, rows=rows, share=share, part=part) if rows else None
    changed = [
        key
        for key in now.keys() | old.keys()
        if key not in old or key not in now or old[key].digest != now[key].digest
    ]
    rows = sum(_changed_rows(old.get(key), now.get(key)) for key in changed)
    if data.sample and before.sample:
        rows = max(_sampled_rows(data.sample, before.sample, total, grown), 1)
    share = rows / total if total else 1.0
    return DataChange(blocks=len(_blocks(changed, part)), rows=rows, share=share, part=part)


def _blocks(cells: Iterable[tuple[int, int]], part: Literal["block", "fold"]) -> set[int]:
    """The blocks in which the labels of some cells became known, or the folds that they lie in."""
    return {fold if part == "fold" else known for fold, known in cells}


def _changed_rows(old: Cell | None, now: Cell | None) -> int:
    """The rows of a changed cell that are new or changed: its growth, and all of them where it has not grown."""
    was, rows = old.rows if old else 0, now.rows if now else 0
    return rows - was if rows > was else max(was, rows)


def _sampled_rows(now: tuple[int, ...], before: tuple[int, ...], total: int, grown: int) -> int:
    """The rows that are new or changed, estimated from the rows of the earlier sample that are no longer there."""
    # a full sample says nothing of hashes above its largest
    bound = now[-1] if len(now) >= SAMPLE else max(now[-1], before[-1])
    told = [one for one in before if one <= bound]
    present = set(now)
    gone = sum(one not in present for one in told)
    changed = round(gone / len(told) * total) if told else total
    return max(changed + grown, changed, -grown)
