"""Saves what a commit is about to name and gc has condemned: it is copied under a new name (docs/design.md 7, step 4).

Putting the same bytes back under the old name would not do, since that name will be deleted.
"""

from __future__ import annotations

from collections.abc import Callable

from retraining.errors import NotFoundError, ReleaseConflictError
from retraining.release.update import Update
from retraining.store.condemned import condemned_between, moved, named_packs
from retraining.store.entries import Head, LogEntry
from retraining.store.objects import Objects

__all__ = ["Rescuer"]


class Rescuer:
    """Looks through the log for what was condemned while a run worked, and copies what the run needs of it.

    Parameters
    ----------
    objects
        The object-store port.
    read_entry
        One log entry by its number.
    start
        The head that the run read before it looked for finished results.
    folder
        Where copies go: a prefix that no other attempt has.
    """

    def __init__(
        self, objects: Objects, read_entry: Callable[[int], LogEntry], start: Head, folder: str
    ) -> None:
        self._objects = objects
        self._read_entry = read_entry
        self._folder = folder
        self._looked = start.sequence
        self._condemned = condemned_between(objects, start.entry, ())
        self._copies = 0

    def rescue(self, update: Update, head: Head) -> Update:
        """The update, naming nothing that is condemned at `head`.

        ReleaseConflictError where a condemned object is gone already: then its fit is to be made again.
        """
        since = [self._entry(number, head) for number in range(self._looked + 1, head.sequence + 1)]
        self._condemned |= condemned_between(self._objects, None, since)
        self._looked = max(self._looked, head.sequence)
        lost = sorted(self.condemned(named_packs(update)))
        return moved(update, {key: self._copy(key) for key in lost}) if lost else update

    def condemned(self, keys: frozenset[str]) -> frozenset[str]:
        """Those of some keys that were condemned up to the last head that was looked at."""
        return keys & self._condemned

    def _entry(self, number: int, head: Head) -> LogEntry:
        return head.entry if head.entry is not None and head.sequence == number else self._read_entry(number)

    def _copy(self, key: str) -> str:
        self._copies += 1
        copy = f"{self._folder}-{self._copies}"
        try:
            self._objects.put(copy, self._objects.get(key))
        except NotFoundError as error:
            raise ReleaseConflictError(
                f"{self._objects.url}: gc deleted {key} while this run was using it (it was last needed longer "
                "ago than gc's grace)",
                "run again: what was lost is made again, and every other finished fit is taken up",
            ) from error
        return copy
