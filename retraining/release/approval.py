"""What a person's approval releases: pending challengers, and the champions that were checked with them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace

from retraining.release.update import Mismatch, Update, apply, mismatches
from retraining.release.values import NodeState

__all__ = ["Approval", "Reader", "approve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A champion that passed the check of what pending challengers would hand down to it.

    `version` is the champion that was checked, `new` the challengers; the rest is what its row becomes.
    """

    version: str
    new: frozenset[str]
    wiring: Mapping[str, str]
    column: str | None
    checked: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What is released: the challengers with their rows, and the rows of champions that stay below them.

    `left` are the pending challengers that still wait. Where a named one cannot be released, `unfit` is the
    pair that does not fit, and nothing is released.
    """

    promoted: Mapping[str, NodeState] = field(default_factory=dict)
    rewired: Mapping[str, NodeState] = field(default_factory=dict)
    left: frozenset[str] = frozenset()
    unfit: Mismatch | None = None


def approve(
    now: Mapping[str, NodeState],
    held: Mapping[str, NodeState],
    readers: Mapping[str, Reader],
    *,
    unapproved: Set[str],
    named: Set[str],
) -> Approval:
    """The largest part of the pending challengers `held` that fits what is served, without the `unapproved`.

    `held` has the row that each would get. A challenger needs the versions that it learnt from, and each champion
    that reads it must have passed the check of exactly what it would be served with.
    """
    chosen = set(held) - unapproved
    known = set(mismatches(now))
    first: Mismatch | None = None
    while True:
        rewired = _rewired(now, readers, chosen)
        rows = {name: held[name] for name in sorted(chosen)} | rewired
        broken = [one for one in mismatches(apply(now, Update(set=rows))) if one not in known]
        if not broken:
            break
        lost: set[str] = set()
        for one in broken:
            below = readers[one.node].new if one.node in rewired else frozenset({one.upstream})
            lost |= {one.node} if one.node in chosen else below & chosen
        lost = lost or chosen
        if first is None and not lost.isdisjoint(named):
            first = next(
                one for one in broken if one.node in lost or one.upstream in lost or one.node in rewired
            )
        chosen -= lost
    if not named <= chosen:
        return Approval(left=frozenset(held), unfit=first or _missing(now, held, named - chosen))
    promoted = {name: held[name] for name in sorted(chosen)}
    return Approval(promoted=promoted, rewired=rewired, left=frozenset(held) - chosen)


def _rewired(
    now: Mapping[str, NodeState], readers: Mapping[str, Reader], chosen: Set[str]
) -> dict[str, NodeState]:
    return {
        name: replace(
            now[name],
            wiring=dict(reader.wiring),
            column=None if reader.column == reader.version else reader.column,
            checked=reader.checked,
            attempt=None,
        )
        for name, reader in sorted(readers.items())
        if name not in chosen
        and not reader.new.isdisjoint(chosen)
        and name in now
        and now[name].version == reader.version
    }


def _missing(now: Mapping[str, NodeState], held: Mapping[str, NodeState], lost: Set[str]) -> Mismatch | None:
    """The first pair that a lost challenger would break by itself."""
    for name in sorted(lost):
        for upstream, version in sorted(held[name].wiring.items()):
            found = now[upstream].hands_down if upstream in now else None
            if found != version:
                return Mismatch(node=name, upstream=upstream, trained_with=version, found=found)
    return None
