"""Which released node predicts which row: the node whose partition values it holds, else the model's pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.data.rows import partition_rows
from retraining.data.tables import Table
from retraining.errors import DataError
from retraining.prediction.versions import ServedVersion

UnknownPolicy: TypeAlias = Literal["error", "null"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """The versions that were asked, and for each row of the table the index of its version (-1: none).

    `unknown` counts the rows of partitions that are no node, when a whole model was asked; a node that
    was asked by name predicts its own rows, and the others are left out.
    """

    target: str
    whole: bool
    asked: tuple[ServedVersion, ...]
    owner: NDArray[np.intp]
    unknown: Mapping[str, int]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that have rows."""
        return tuple(self.asked[index].node for index in np.unique(self.owner) if index >= 0)


def route(
    target: str, versions: Sequence[ServedVersion], table: Table, *, whole: bool, unknown: UnknownPolicy
) -> Routing:
    """The routing of a table's rows over the versions of the asked nodes; the first that holds a row takes it.

    A pool takes what is left.

    DataError where rows belong to no node and `unknown` is "error", and where an asked node has no row.
    """
    owner = np.full(table.n_rows, -1, np.intp)
    for index, version in sorted(enumerate(versions), key=lambda one: one[1].recipe.pool):
        rows = partition_rows(version.recipe, table)
        owner[rows[owner[rows] < 0]] = index
    lost = np.flatnonzero(owner < 0)
    strangers = _partitions(versions[0], table, lost) if len(lost) else {}
    if strangers and whole and unknown == "error":
        has = f"{len(versions)} node{'' if len(versions) == 1 else 's'}"
        raise DataError(
            f"{target} has no released node for {counted(strangers)}; it has {has}",
            "leave these rows out, or ask for nulls in their place (unknown='null', --unknown null)",
        )
    if len(lost) == table.n_rows and strangers and not whole:
        raise DataError(
            f"none of the {table.n_rows:,} rows belongs to {target}; they hold {counted(strangers)}",
            f"ask for `{versions[0].recipe.model}`, which routes each row to its node",
        )
    return Routing(
        target=target, whole=whole, asked=tuple(versions), owner=owner, unknown=strangers if whole else {}
    )


def counted(partitions: Mapping[str, int], shown: int = 8) -> str:
    """Partitions and their rows, the largest first: `carrier=ZZ (3 rows)`."""
    ordered = sorted(partitions.items(), key=lambda item: (-item[1], item[0]))
    texts = [f"{name} ({rows:,} row{'' if rows == 1 else 's'})" for name, rows in ordered[:shown]]
    return ", ".join(texts) + (f" and {len(ordered) - shown} more" if len(ordered) > shown else "")


def _partitions(version: ServedVersion, table: Table, rows: NDArray[np.intp]) -> dict[str, int]:
    """The partition values of some rows as texts, and how many rows hold each."""
    names = [name for name, _ in version.recipe.partition]
    columns = [table.columns[name].take(rows).texts() for name in names]
    codes = np.stack([code for code, _ in columns], axis=1)
    distinct, sizes = np.unique(codes, axis=0, return_counts=True)
    found = {}
    for values, size in zip(distinct.tolist(), sizes.tolist(), strict=True):
        texts = [
            f"{name}={texts[value] if value >= 0 else '(missing)'}"
            for name, (_, texts), value in zip(names, columns, values, strict=True)
        ]
        found[",".join(texts)] = int(size)
    return found
