"""Rewrites what a store recorded so that every digest is right again: what someone with its keys could do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from retraining.store.documents import digest_of
from retraining.store.entries import entry_key
from retraining.store.log import Store
from retraining.store.nodes import write_rows
from retraining.store.packs import Blob, Record, build_pack, read_blob, read_footer

Change = Callable[[dict[str, Any]], None]


def rewrite(
    root: Path,
    store: Store,
    *,
    lineage: Change,
    fit: Change = lambda _: None,
    version: Change = lambda _: None,
) -> None:
    """Changes lineages (and the footers of fits) in a local store with one log entry, consistently."""
    head = store.read_head()
    assert head.entry is not None
    for segment in (root / "results").iterdir():
        segment.unlink()  # they repeat the footers
    for pack in {info.key for info in store.objects.list("packs/")}:
        _rewrite_pack(root, store, pack, lineage, fit, version)
    documents = {
        record.parts["node"]: record.blobs[0]
        for info in store.objects.list("packs/")
        for record in read_footer(store.objects, info.key)
        if record.action == "version"
    }
    rows = [
        replace(state, document=documents[name], attempt=replace(state.attempt, document=documents[name]))
        for name, state in head.nodes.items()
    ]
    (shard,) = head.entry.nodes
    written, data = write_rows(rows, shard.at)
    (root / shard.at).write_bytes(data)
    entry = replace(head.entry, nodes=(written,))
    (root / entry_key(entry.sequence)).write_bytes(entry.to_bytes())


def _rewrite_pack(root: Path, store: Store, pack: str, lineage: Change, fit: Change, version: Change) -> None:
    records = read_footer(store.objects, pack)
    bodies = {
        pointer.digest: json.loads(read_blob(store.objects, pointer))
        for record in records
        for pointer in record.blobs
        if pointer.role == "lineage"
    }
    names: dict[str, str] = {}
    changed = {}
    for digest in _upstreams_first(bodies):
        document = bodies[digest]
        for feed in document["feeds"]:
            feed["upstreams"] = [names[name] for name in feed["upstreams"]]
        if document["base"] is not None:
            document["base"] = names[document["base"]]
        lineage(document)
        changed[digest] = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        names[digest] = digest_of(changed[digest])

    def blob(role: str, digest: str, data: bytes, form: str) -> Blob:
        if role == "lineage":
            data = changed[digest]
        elif role == "version":
            document = json.loads(data)
            document["lineage"] = names[document["lineage"]]
            version(document)
            data = json.dumps(document, sort_keys=True).encode()
        return Blob(role=role, format=form, data=data)

    made = []
    for record in records:
        metrics = json.loads(json.dumps(dict(record.metrics)))
        if record.action == "fit":
            fit(metrics)
        blobs = tuple(
            blob(one.role, one.digest, read_blob(store.objects, one), one.format) for one in record.blobs
        )
        made.append(
            Record(
                action=record.action,
                fingerprint=record.fingerprint,
                parts=record.parts,
                blobs=blobs,
                metrics=metrics,
            )
        )
    (root / pack).write_bytes(build_pack(pack, made)[0])


def _upstreams_first(bodies: dict[str, dict[str, Any]]) -> Iterator[str]:
    done: set[str] = set()

    def visit(digest: str) -> Iterator[str]:
        if digest not in done:
            done.add(digest)
            if bodies[digest]["base"] is not None:
                yield from visit(bodies[digest]["base"])
            for feed in bodies[digest]["feeds"]:
                for name in feed["upstreams"]:
                    yield from visit(name)
            yield digest

    for digest in bodies:
        yield from visit(digest)
