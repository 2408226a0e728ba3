"""Counts what a champion's features held on each day: the profiles by which drift of inputs is found.

No model takes part: the rows are those that the champion predicts, the bins come from those that it could learn from.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from retraining.data.profiles import column_bins, column_profile
from retraining.data.rows import NodeRows
from retraining.data.tables import Table
from retraining.decide.profiles import Bins
from retraining.execution.tasks import ProfileTask
from retraining.manifest.values import Json
from retraining.store.packs import Blob, Record

__all__ = ["INPUT_ROLE", "profile_records"]

#: What the role of a feature's profile begins with; the feature's name follows.
INPUT_ROLE = "input "


def profile_records(task: ProfileTask, table: Table, rows: NodeRows) -> list[Record]:
    """A record for each block that is not in the store yet, with a profile of each feature, and one for new bins."""
    features = {name: table.columns[name] for name in task.recipe.features}
    records: list[Record] = []
    bins: Mapping[str, Bins] | None = task.bins
    if bins is None:
        reference = rows.rows[np.isin(rows.part, sorted(task.reference))]
        bins = {name: column_bins(column.take(reference)) for name, column in features.items()}
        told: dict[str, Json] = {name: one.to_json() for name, one in bins.items()}
        records.append(_record(task, task.bins_key, {"bins": told}))
    for part, fingerprint in sorted(task.records.items()):
        at = np.flatnonzero(rows.part == part)
        blobs = tuple(
            Blob(
                role=INPUT_ROLE + name,
                format="profile",
                data=column_profile(column.take(rows.rows[at]), bins[name], rows.cluster[at]).to_bytes(),
            )
            for name, column in features.items()
        )
        records.append(_record(task, fingerprint, {"part": part, "rows": len(at)}, blobs))
    return records


def _record(
    task: ProfileTask, fingerprint: str, metrics: Mapping[str, Json], blobs: tuple[Blob, ...] = ()
) -> Record:
    # the fit's name keeps it as long as the release whose champion it is about
    parts: dict[str, Json] = {"node": task.node, "fit": task.fit}
    return Record(action="score", fingerprint=fingerprint, parts=parts, blobs=blobs, metrics=metrics)
