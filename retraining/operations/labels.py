"""The late labels that a look at the data sees: those of a store up to one batch, which the look pins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from retraining.data.feedback import Records, records_of
from retraining.manifest.values import Dataset
from retraining.store.feedback import read_batches
from retraining.store.log import Store

__all__ = ["NO_FEEDBACK", "PinnedFeedback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFeedback:
    """The batches of a store up to the one with the number `through`; none without a store."""

    store: Store | None = None
    through: int = 0

    def records(self, datasets: Mapping[str, Dataset]) -> dict[str, Records]:
        """The records of each dataset that has any; IntegrityError where a batch is damaged."""
        if self.store is None or not self.through:
            return {}
        batches = read_batches(self.store, 0, self.through)
        found = {
            name: records_of(
                dataset, [(batch.number, batch.table) for batch in batches if batch.dataset == name]
            )
            for name, dataset in datasets.items()
        }
        return {name: records for name, records in found.items() if records is not None}


NO_FEEDBACK = PinnedFeedback()
