"""A store holds the nodes of one manifest: another one would take them for its own, and forget them."""

from __future__ import annotations

from retraining.errors import InputError
from retraining.graph.nodes import parse_node_name
from retraining.manifest.values import Manifest
from retraining.reporting.text import join_words
from retraining.store.entries import LogEntry
from retraining.store.log import Store

__all__ = ["check_belongs"]


def check_belongs(manifest: Manifest, store: Store, entry: LogEntry, url: str) -> None:
    """Raises InputError where a store holds the nodes of another manifest, which this one would take for its own.

    A manifest that was renamed has all models that were served under its old name.
    """
    owner = entry.manifest.get("name") or manifest.name
    if owner == manifest.name:
        return
    nodes = store.head_at(entry).nodes
    models = {parse_node_name(name)[0] for name, state in nodes.items() if not state.orphaned}
    foreign = sorted(models - manifest.models.keys())
    if foreign:
        raise InputError(
            f"store {url} holds the models of the manifest `{owner}`; `{manifest.name}` has no "
            f"{join_words(foreign, 3)}",
            f"give `{manifest.name}` a store of its own (its `store`, or --store); where `{owner}` was only renamed, "
            "run it once under the new name before models are removed from it",
        )
