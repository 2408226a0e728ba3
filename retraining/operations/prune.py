"""Forgets nodes that left the manifest or the data: a release of its own, after the run that found them gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from retraining.operations.people import named_briefly, word_of
from retraining.release.orphans import prunable
from retraining.release.update import Update, requirements
from retraining.store.log import Head, Store

__all__ = ["Pruned", "prune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """The head after it, the nodes that are forgotten, and why each orphan that is not has to stay."""

    after: Head
    nodes: tuple[str, ...] = ()
    stay: Mapping[str, str] = field(default_factory=dict)


def prune(store: Store, planned: Collection[str], manifest: Mapping[str, str]) -> Pruned:
    """Takes every node out of the table that is not `planned` and that nothing served reads.

    Raises ReleaseConflictError where one of them, or who reads it, is changed at the same time.
    """
    head = store.read_head()
    removed, stay = prunable(head.nodes, planned)
    if not removed:
        return Pruned(after=head, stay=stay)
    update = Update(removed=removed)
    after = word_of(None).commit(
        store,
        update,
        requirements(update, head.nodes, ()),
        kind="release",
        start=head,
        why={"pruned": len(removed), "nodes": named_briefly(removed), "count": len(removed)},
        manifest=manifest,
    )
    return Pruned(after=after, nodes=tuple(sorted(removed)), stay=stay)
