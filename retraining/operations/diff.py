"""How two releases differ, read from their node tables and from the documents of the versions that changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retraining.errors import InputError
from retraining.manifest.values import Json
from retraining.operations.session import read_document
from retraining.operations.status import release_entry
from retraining.operations.stored import Stored
from retraining.release.rollback import NodeChange, changes
from retraining.release.values import NodeState
from retraining.reporting.difference import NodeDifference, ReleaseDifference
from retraining.store.log import Store

__all__ = ["diff"]


def diff(stored: Stored, before: int | None, after: int | None) -> ReleaseDifference:
    """The difference of two releases; `after` None is the current one, `before` None the one before `after`.

    Raises InputError for a release that is not there, StoreError where a version's document cannot be read.
    """
    current = stored.store.read_head().release
    if current is None:
        raise InputError(f"{stored.url}: nothing is released yet", "`retrain run` makes the first release")
    last = current if after is None else after
    if before is None and last <= 1:
        raise InputError(
            f"{stored.url}: release 1 is the first, there is none before it", "`retrain releases` lists them"
        )
    old = stored.store.read_release(last - 1 if before is None else before)
    new = stored.store.read_release(last)
    found = changes(old.nodes, new.nodes)
    served = sum(row.version is not None for row in new.nodes.values())
    assert old.entry is not None
    assert new.entry is not None
    return ReleaseDifference(
        before=release_entry(old.entry),
        after=release_entry(new.entry),
        logical=(old.logical(), new.logical()),
        same=served - sum(change.after is not None for change in found),
        nodes=tuple(_difference(stored.store, change) for change in found),
    )


def _difference(store: Store, change: NodeChange) -> NodeDifference:
    rows = (change.before, change.after)
    documents = tuple(_document(store, row) for row in rows)
    return NodeDifference(
        node=change.node,
        change=change.change,
        version=_pair(row.version if row is not None else None for row in rows),
        cut=_pair(row.cut if row is not None else None for row in rows),
        recipe={} if change.change != "changed" else _differing(*(map(_recipe, documents))),
        rows=_differing(*(map(_counts, documents))),
        metrics=_all(*(map(_metrics, documents))),
        upstreams=_differing(*(dict(row.wiring) if row is not None else {} for row in rows)),
    )


def _pair(values: Any) -> tuple[Any, Any]:
    before, after = values
    return before, after


def _document(store: Store, row: NodeState | None) -> dict[str, Any]:
    """A version's document; empty where the node is not served."""
    if row is None or row.document is None:
        return {}
    return read_document(store, row.document)


def _recipe(document: Mapping[str, Any]) -> dict[str, Json]:
    """The fields of a recipe by their path: `estimator`, `parameters.max_depth`."""
    flat: dict[str, Json] = {}

    def walk(path: str, value: Any) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                walk(f"{path}.{name}" if path else name, inner)
        else:
            flat[path] = value

    walk("", document.get("recipe", {}).get("definition", {}))
    return flat


def _counts(document: Mapping[str, Any]) -> dict[str, Json]:
    return dict(document.get("counts") or document.get("data", {}).get("counts", {}))


def _metrics(document: Mapping[str, Any]) -> dict[str, Json]:
    return dict((document.get("verdict") or {}).get("challenger") or {})


def _all(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = [*after, *(name for name in before if name not in after)]
    return {name: (before.get(name), after.get(name)) for name in names}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: pair for name, pair in _all(before, after).items() if pair[0] != pair[1]}
