"""Small node states, updates and commits for the store's tests."""

from __future__ import annotations

from retraining.release.update import Update, requirements
from retraining.release.values import Attempt, BlobPointer, NodeState, Parts
from retraining.store.entries import Head
from retraining.store.log import Store
from retraining.store.packs import Blob, Record, StoredRecord, build_pack, pack_key


def parts(text: str = "a") -> Parts:
    return Parts(
        recipe=f"recipe {text}", data=f"data {text}", upstream={"column": f"up {text}"}, environment="e"
    )


def pointer(role: str = "model", pack: str = "packs/r/000001-1") -> BlobPointer:
    return BlobPointer(
        pack=pack,
        role=role,
        format="f-1",
        digest="sha256:" + "0" * 64,
        offset=1,
        stored=2,
        raw=3,
        codec="zstd",
    )


def attempt(version: str = "v1", outcome: str = "promoted") -> Attempt:
    return Attempt(
        fingerprint=f"f {version}",
        outcome=outcome,
        because="it won",
        run="r",
        time="2013-12-30T00:00:00Z",
        parts=parts(version),
        version=version,
        document=pointer("document"),
    )


def state(node: str, version: str | None = "v1", **more: object) -> NodeState:
    return NodeState(node=node, version=version, **{"parts": parts(), "cut": "2013-12-30T00:00:00Z", **more})


def setting(versions: dict[str, str], **more: object) -> Update:
    """An update that gives each node a version, without pointers."""
    return Update(set={node: state(node, version, **more) for node, version in versions.items()})


def commit(store: Store, update: Update, head: Head | None = None, *, run: str = "r1", edges=()) -> Head:
    """Commit an update that was computed on `head` (default: the newest)."""
    before = store.read_head() if head is None else head
    return store.commit(
        update,
        requirements(update, before.nodes, edges),
        kind="release" if update.set else "state",
        run=run,
        who="ann@host",
        why={"promoted": len(update.set)},
        manifest={"name": "flights", "digest": "sha256:00"},
        now="2026-11-23T14:00:00Z",
        start=before,
    )


def write_pack(objects, run: str, batch: int, *records: Record) -> tuple[StoredRecord, ...]:
    key = pack_key(run, batch, 1)
    data, stored = build_pack(key, records)
    objects.put(key, data)
    return stored


def fit(fingerprint: str, data: bytes = b"model bytes", **metrics: float) -> Record:
    blob = Blob(role="model", format="test-1", data=data)
    return Record(
        action="fit", fingerprint=fingerprint, parts={"recipe": "r"}, blobs=(blob,), metrics=dict(metrics)
    )
