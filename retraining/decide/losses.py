"""Sums of losses by cluster: what parts of a model's rows can be added up to, without their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retraining.manifest.values import Json

__all__ = ["ClusterLosses", "add_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterLosses:
    """For each cluster (a day, or a number of leak groups) the rows, their weight, and the weighted losses.

    All are of the same length, in the order of `cluster`, which rises. `champion` is None without one.
    """

    cluster: tuple[int, ...]
    rows: tuple[int, ...]
    weight: tuple[float, ...]
    challenger: tuple[float, ...]
    champion: tuple[float, ...] | None

    def to_json(self) -> dict[str, Json]:
        """The sums as a document."""
        return {
            "cluster": list(self.cluster),
            "rows": list(self.rows),
            "weight": list(self.weight),
            "challenger": list(self.challenger),
            "champion": None if self.champion is None else list(self.champion),
        }

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> ClusterLosses:
        """The inverse of `to_json`."""
        champion = doc["champion"]
        return cls(
            cluster=tuple(doc["cluster"]),
            rows=tuple(doc["rows"]),
            weight=tuple(doc["weight"]),
            challenger=tuple(doc["challenger"]),
            champion=None if champion is None else tuple(champion),
        )


def add_up(parts: Sequence[ClusterLosses]) -> ClusterLosses:
    """The sums over several parts of the rows, which either all have a champion or none has; at least one part.

    Equal for equal parts in equal order, bit for bit.
    """
    rows: dict[int, int] = {}
    sums: dict[int, tuple[float, float, float]] = {}
    for part in parts:
        champion = part.champion or (0.0,) * len(part.cluster)
        for number, count, *found in zip(
            part.cluster, part.rows, part.weight, part.challenger, champion, strict=True
        ):
            rows[number] = rows.get(number, 0) + count
            before = sums.get(number, (0.0, 0.0, 0.0))
            sums[number] = (before[0] + found[0], before[1] + found[1], before[2] + found[2])
    order = sorted(rows)
    return ClusterLosses(
        cluster=tuple(order),
        rows=tuple(rows[number] for number in order),
        weight=tuple(sums[number][0] for number in order),
        challenger=tuple(sums[number][1] for number in order),
        champion=None if parts[0].champion is None else tuple(sums[number][2] for number in order),
    )
