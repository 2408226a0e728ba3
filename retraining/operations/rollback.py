"""Goes back: a new release that serves what an old one served, and pins it, so that no run undoes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retraining.errors import InputError, StoreError
from retraining.manifest.values import Json
from retraining.operations.people import Word, named_briefly, word_of
from retraining.operations.stored import Stored, stored_selection
from retraining.release.rollback import restoring, together
from retraining.release.update import Requirement, Update, requirements
from retraining.release.values import BlobPointer, NodeState, Pin
from retraining.store.log import Head, Store
from retraining.store.packs import read_blobs

__all__ = ["RolledBack", "rollback"]

#: How many models are read at a time to see that they are there.
_AT_ONCE = 128
_MOST_NAMES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RolledBack:
    """What a rollback did: `release` (None: nothing had to change) serves what `to` served.

    `restored` are the nodes with another champion than before, `removed` those that `to` did not serve.
    """

    before: int
    to: int
    release: int | None
    restored: tuple[NodeState, ...] = ()
    removed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """What was done, as a document."""
        return {
            "release": {
                "before": self.before,
                "after": self.before if self.release is None else self.release,
            },
            "to": self.to,
            "restored": [{"node": row.node, "version": row.version} for row in self.restored],
            "removed": [*self.removed],
        }


def rollback(
    stored: Stored,
    release: int | None,
    *,
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    because: str | None = None,
) -> RolledBack:
    """Serves what a release (None: the one before the current) served; with a selection, those nodes of it alone.

    Raises InputError for a release that is not there, or where a part would not fit what stays;
    IntegrityError or NotFoundError where a model of it is damaged or gone; ReleaseConflictError where
    another commit changes what is served at the same time. Then nothing is changed.
    """
    word = word_of(because)
    store, head = stored.store, stored.store.read_head()
    old = _target(stored, head, release)
    assert head.release is not None
    assert old.release is not None
    reason = f"rollback to release {old.release}" + (f": {word.because}" if word.because else "")
    pin = Pin(who=word.who, time=word.time, because=reason)
    chosen = None
    if select or exclude:
        known = {**old.nodes, **head.nodes}
        chosen = frozenset(stored_selection(known, stored.manifest, select, exclude))
        _refuse_unfit(head, old, pin, chosen)
    update = restoring(head.nodes, old.nodes, pin, chosen)
    if update.empty:
        return RolledBack(before=head.release, to=old.release, release=None)
    _refuse_lost(store, update, head, old.release)
    after = _commit(store, word, update, head, old, whole=chosen is None)
    return RolledBack(
        before=head.release,
        to=old.release,
        release=after.release,
        restored=tuple(after.nodes[name] for name, row in update.set.items() if row.version is not None),
        removed=tuple(name for name, row in update.set.items() if row.version is None),
    )


def _target(stored: Stored, head: Head, release: int | None) -> Head:
    if head.release is None:
        raise InputError(f"{stored.url}: nothing is released yet", "`retrain run` makes the first release")
    if release is None and head.release == 1:
        raise InputError(
            f"{stored.url}: release 1 is the first, there is none before it", "`retrain releases` lists them"
        )
    number = head.release - 1 if release is None else release
    return stored.store.read_release(number)


def _refuse_unfit(head: Head, old: Head, pin: Pin, chosen: frozenset[str]) -> None:
    """InputError where the chosen nodes would stand beside versions that they were not trained or checked with."""
    unfit, along = together(head.nodes, old.nodes, pin, chosen)
    if not unfit:
        return
    first = unfit[0]
    names = sorted(along - chosen)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    shown = ", ".join(names[:_MOST_NAMES]) + more
    raise InputError(
        f"{first.node} would be served with {first.upstream} {first.found or '(not served)'}, but it was "
        f"trained with {first.trained_with}; nothing was changed",
        f"roll these back too: {shown}" if names else "roll the whole release back, without --select",
    )


def _refuse_lost(store: Store, update: Update, head: Head, number: int) -> None:
    """StoreError where a model or document that would be served again is damaged or gone."""
    wanted = [
        (row.node, pointer)
        for row in update.set.values()
        for pointer in (row.artifact, row.document)
        if pointer is not None and not _served_now(head, row.node, pointer)
    ]
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        try:
            read_blobs(store.objects, [pointer for _, pointer in part])
        except StoreError:
            for node, pointer in part:
                _refuse_if_lost(store, node, pointer, number)
            raise


def _refuse_if_lost(store: Store, node: str, pointer: BlobPointer, number: int) -> None:
    try:
        read_blobs(store.objects, [pointer])
    except StoreError as error:
        raise type(error)(
            f"release {number} cannot be restored, since the {pointer.role} of {node} is damaged or gone: "
            f"{error.message}; nothing was changed",
            f"restore {pointer.pack} from a backup, or choose another release",
        ) from error


def _served_now(head: Head, node: str, pointer: BlobPointer) -> bool:
    row = head.nodes.get(node)
    return row is not None and pointer in (row.artifact, row.document)


def _commit(store: Store, word: Word, update: Update, head: Head, old: Head, *, whole: bool) -> Head:
    needed = requirements(update, head.nodes, ())
    if whole:
        # what is served afterwards is that release and nothing else, so nothing may have changed meanwhile
        mentioned = {one.node for one in needed}
        rest = sorted((head.nodes.keys() | old.nodes.keys()) - mentioned)
        versions = {name: row.version for name, row in head.nodes.items()}
        needed = (*needed, *(Requirement(node=name, version=versions.get(name)) for name in rest))
    entry = old.entry if whole else head.entry
    return word.commit(
        store,
        update,
        needed,
        kind="rollback",
        start=head,
        why={"restored": old.release, "nodes": named_briefly(update.set), "count": len(update.set)},
        manifest=dict(entry.manifest) if entry is not None else {},
    )
