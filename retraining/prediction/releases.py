"""The releases of a store, for those who predict: `open_store(url).current().predict(...)`."""

from __future__ import annotations

import os
from collections.abc import Iterable

from retraining.learn.permitted import permitted
from retraining.manifest.given import given_number
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.prediction.predictor import Release
from retraining.store.log import Store
from retraining.store.log import open_store as open_log


class Releases:
    """The releases of one store. Opening reads nothing but the store's name."""

    def __init__(self, store: Store, permissions: Permissions = NOTHING) -> None:
        self._store = store
        self._permissions = permissions

    def __repr__(self) -> str:
        return f"Releases({self.url!r})"

    @property
    def url(self) -> str:
        """Where the store is."""
        return self._store.objects.url

    def current(self) -> Release:
        """The newest release; NotFoundError where there is none yet."""
        return Release(self._store, self._store.read_head(), self._permissions)

    def release(self, number: int) -> Release:
        """The release with this number; UnknownReleaseError where there is none, InputError for what is no number."""
        number = given_number(number, "release", "`retrain releases`")
        return Release(self._store, self._store.read_release(number), self._permissions)


def open_store(
    url: str | os.PathLike[str], *, allow: Iterable[str] = (), allow_joblib: bool = False
) -> Releases:
    """The releases of the store at a URL or folder; NotFoundError where there is no store.

    `allow` names packages whose classes a model of one's own may hold, `allow_joblib` lets joblib load what was
    stored by it; both add to RETRAINING_ALLOW and RETRAINING_ALLOW_JOBLIB.
    """
    permissions = permitted(allow, joblib=allow_joblib)
    return Releases(open_log(url), permissions)
