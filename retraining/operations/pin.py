"""A pin keeps a node as it is, whatever the data and the definition say, until it is taken away.

It is a column of the node table and is committed alone (kind `state`): no release is made, and a run
that was going to replace the node meanwhile meets a conflict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retraining.errors import InputError
from retraining.manifest.values import Json
from retraining.operations.people import Word, named_briefly, word_of
from retraining.operations.stored import Stored, stored_selection
from retraining.release.update import Update, requirements
from retraining.release.values import NodeState, Pin
from retraining.store.entries import Head

__all__ = ["Pinned", "pin", "unpin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The nodes whose pin a command changed, as they are after it; `already` were as asked before."""

    nodes: tuple[NodeState, ...]
    already: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the nodes whose pin changed."""
        return tuple(state.node for state in self.nodes)

    def to_json(self) -> dict[str, Json]:
        """What was done, as a document."""
        return {
            "nodes": [
                {
                    "node": state.node,
                    "version": state.version,
                    "pin": None if state.pin is None else state.pin.to_json(),
                }
                for state in self.nodes
            ],
            "already": [*self.already],
        }


def pin(stored: Stored, expressions: Sequence[str], because: str) -> Pinned:
    """Pins the champions of the selected nodes; who pins a pinned node again gives a new reason.

    Raises InputError for a node that was never released, SelectionError for one that is not known,
    ReleaseConflictError where a run releases one of them at the same time.
    """
    word = word_of(because)
    head = stored.store.read_head()
    chosen = stored_selection(head.nodes, stored.manifest, expressions)
    unreleased = [name for name in chosen if head.nodes[name].version is None]
    if unreleased:
        raise InputError(
            f"{unreleased[0]} was never released, so there is no champion to keep",
            "pin what is released (`--select state:released` names it), or leave it out of a run with --exclude",
        )
    mark = Pin(who=word.who, time=word.time, because=word.because)
    after = _committed(stored, head, word, dict.fromkeys(chosen, mark), "pinned")
    return Pinned(nodes=tuple(after.nodes[name] for name in chosen))


def unpin(stored: Stored, expressions: Sequence[str], because: str | None) -> Pinned:
    """Takes the pins of the selected nodes away; errors as `pin`, and InputError where none is pinned."""
    word = word_of(because)
    head = stored.store.read_head()
    chosen = stored_selection(head.nodes, stored.manifest, expressions)
    pinned = [name for name in chosen if head.nodes[name].pin is not None]
    if not pinned:
        raise InputError(
            f"{chosen[0]} is not pinned"
            if len(chosen) == 1
            else f"none of these {len(chosen)} nodes is pinned",
            "`retrain status` shows which nodes are",
        )
    after = _committed(stored, head, word, dict.fromkeys(pinned, None), "unpinned")
    return Pinned(
        nodes=tuple(after.nodes[name] for name in pinned),
        already=tuple(name for name in chosen if head.nodes[name].pin is None),
    )


def _committed(stored: Stored, head: Head, word: Word, pins: Mapping[str, Pin | None], done: str) -> Head:
    """The head after the pins were changed, with what was done and by whom in its entry."""
    update = Update(pins=pins)
    return word.commit(
        stored.store,
        update,
        requirements(update, head.nodes, ()),
        kind="state",
        why={done: named_briefly([*pins]), "count": len(pins)},
        manifest=dict(head.entry.manifest) if head.entry is not None else {},
        start=head,
    )
