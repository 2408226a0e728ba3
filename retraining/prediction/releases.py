"""The releases of a store, for those who predict: `open_store(url).current().predict(...)`."""

from __future__ import annotations

from retraining.prediction.predictor import Release
from retraining.store.log import Store
from retraining.store.log import open_store as open_log


class Releases:
    """The releases of one store. Opening reads nothing but the store's name."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"Releases({self.url!r})"

    @property
    def url(self) -> str:
        """Where the store is."""
        return self._store.objects.url

    def current(self) -> Release:
        """The newest release; NotFoundError where there is none yet."""
        return Release(self._store, self._store.read_head())

    def release(self, number: int) -> Release:
        """The release with this number; NotFoundError where there is none."""
        return Release(self._store, self._store.read_release(number))


def open_store(url: str) -> Releases:
    """The releases of the store at a URL or folder; NotFoundError where there is no store."""
    return Releases(open_log(url))
