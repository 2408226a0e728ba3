"""Checks that a store still holds what its records say."""

from __future__ import annotations

from retraining.operations.stored import Stored
from retraining.reporting.soundness import Finding, Soundness
from retraining.store import verification

__all__ = ["verify"]


def verify(stored: Stored, *, everything: bool) -> Soundness:
    """What is missing or damaged in a store; without `everything` caches and history are left out."""
    found = verification.verify(stored.store, everything=everything)
    return Soundness(
        store=stored.url,
        everything=everything,
        entries=found.entries,
        signed=found.signed,
        releases=found.releases,
        blobs=found.blobs,
        bytes=found.bytes,
        findings=tuple(
            Finding(
                key=damage.key,
                kind=damage.kind,
                missing=damage.missing,
                because=damage.because,
                node=damage.node,
                releases=damage.releases,
                remedy=damage.remedy,
            )
            for damage in found.damages
        ),
    )
