"""A plan that found nothing to do, remembered: the next one of the same inputs is read and not made.

A plan is a pure function of the manifest, the data's file signatures, the log entry, the selection and
the libraries. Where all are as they were, and no moment has passed at which time alone changes the data,
its answer is too. What is left in the store is a hint: lost, stale or damaged, the plan is made again.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import retraining
from retraining.decide.facts import Decision
from retraining.decide.plan import Plan
from retraining.decide.reasons import Reason
from retraining.decide.recipes import digest_of
from retraining.decide.states import STATES
from retraining.manifest.values import Json, Manifest
from retraining.operations.partitions import Skipped
from retraining.store.entries import LogEntry
from retraining.store.log import Store

__all__ = ["Inputs", "Remembered", "recall", "remember"]

_ROOMS = ("data", "decide", "graph", "manifest", "operations", "release")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """All that a plan is made from, as digests and texts.

    `asked` are the selections of the request, `code` the digests of the user's own modules, `feedback_through`
    is the number of the last batch of late labels.
    """

    data: str
    entry: LogEntry
    environment: str
    code: Mapping[str, str]
    asked: Sequence[Sequence[str]]
    as_of: int
    feedback_through: int = 0

    def key(self) -> str:
        """The digest that is equal where a plan must be equal; time is left to the caller."""
        return digest_of(
            {
                "program": _program(),
                "data": self.data,
                "commit": self.entry.commit,
                "sequence": self.entry.sequence,
                "environment": self.environment,
                "code": dict(self.code),
                "asked": [list(words) for words in self.asked],
                "feedback_through": self.feedback_through,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """A plan without work, what is told beside it, and the `next_moment` of a trigger (as that of a `Session`)."""

    plan: Plan
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    next_moment: int | None


def recall(store: Store, manifest: Manifest, inputs: Inputs, as_of: str) -> Remembered | None:
    """What was remembered of exactly these inputs; None: the plan must be made. `as_of` is the plan's."""
    hint: Mapping[str, Any] | None = store.read_hint(_key(manifest))
    if hint is None or hint.get("key") != inputs.key():
        return None
    ends = (end for end in (hint["until"], hint["next_moment"]) if end is not None)
    if not hint["since"] <= inputs.as_of < min(ends, default=inputs.as_of + 1):
        return None
    named = zip(hint["nodes"], hint["shown"], strict=True)
    decisions: list[Decision] = []
    with _uncollected():
        for count, document in hint["decisions"]:
            decisions += _named_all(_decision_from(document), islice(named, count))
    return Remembered(
        plan=Plan(
            as_of=as_of,
            decisions=tuple(decisions),
            edges_new=tuple((up, down) for up, down in hint["edges_new"]),
            edges_gone=tuple((up, down) for up, down in hint["edges_gone"]),
            vanished=tuple(hint["vanished"]),
        ),
        skipped=tuple(Skipped(model=m, partition=p, rows=r, why=w) for m, p, r, w in hint["skipped"]),
        notes=tuple(hint["notes"]),
        next_moment=hint["next_moment"],
    )


def remember(
    store: Store,
    manifest: Manifest,
    inputs: Inputs,
    plan: Plan,
    skipped: Sequence[Skipped],
    notes: Sequence[str],
    *,
    since: int,
    until: int | None,
    next_moment: int | None,
) -> None:
    """Leaves a plan in the store, if it asks for nothing.

    It holds from `since` on, before time alone changes the data (`until`) or what a trigger says (`next_moment`; all
    in microseconds UTC).
    """
    if not plan.idle or plan.consumed:
        return
    runs: list[Json] = []
    for document, same in groupby(plan.decisions, _document):
        alike = list(same)
        first = [(alike[0].node, _shown(alike[0]))]
        if [*_named_all(_decision_from(document), first)] != alike[:1]:
            return  # it would come back as another one
        runs.append([len(alike), document])
    store.write_hint(
        _key(manifest),
        {
            "key": inputs.key(),
            "since": since,
            "until": until,
            "next_moment": next_moment,
            "nodes": [decision.node for decision in plan.decisions],
            "shown": [_shown(decision) for decision in plan.decisions],
            "decisions": runs,
            "edges_new": [list(edge) for edge in plan.edges_new],
            "edges_gone": [list(edge) for edge in plan.edges_gone],
            "vanished": list(plan.vanished),
            "skipped": [[s.model, s.partition, s.rows, s.why] for s in skipped],
            "notes": list(notes),
        },
    )


def _key(manifest: Manifest) -> str:
    return f"hints/plans/{manifest.name}"


def _document(decision: Decision) -> dict[str, Json]:
    document = decision.to_json()
    for name in ("node", *_SHOWN):
        del document[name]
    return document


def _shown(decision: Decision) -> list[Json]:
    """What differs from node to node, as short as it can be."""
    rows: list[Json] = [decision.rows.get(state, 0) for state in STATES]
    rows += [decision.rows["served"]] if "served" in decision.rows else []
    return [rows if decision.rows else [], decision.gate_until, decision.first_predicted]


def _decision_from(document: Mapping[str, Any]) -> Decision:
    """A decision without its node, from what `_document` wrote."""
    reasons = tuple(
        Reason(kind=one["kind"], text=one["text"], evidence=one["evidence"]) for one in document["reasons"]
    )
    rest = {name: value for name, value in document.items() if name not in ("reasons", "fits")}
    return Decision(node="", reasons=reasons, fits=(document["fits"][0], document["fits"][1]), **rest)


_SHOWN = ("rows", "gate_until", "first_predicted")
_FIELDS = tuple(one.name for one in fields(Decision) if one.name not in ("node", *_SHOWN))
_COUNTED = (*STATES, "served")


def _named_all(template: Decision, named: Iterable[tuple[str, Sequence[Any]]]) -> Iterator[Decision]:
    """Copies for nodes; the constructor would take most of the time that a plan of many nodes has."""
    # a slot's own setter is the fastest way to fill a frozen value
    put_node, put_rows, put_until, put_first = (getattr(Decision, name).__set__ for name in ("node", *_SHOWN))
    same = [(getattr(Decision, name).__set__, getattr(template, name)) for name in _FIELDS]
    new = object.__new__
    for node, (rows, gate_until, first_predicted) in named:
        decision = new(Decision)
        put_node(decision, node)
        put_rows(decision, dict(zip(_COUNTED, rows, strict=False)))
        put_until(decision, gate_until)
        put_first(decision, first_predicted)
        for put, value in same:
            put(decision, value)
        yield decision


@contextmanager
def _uncollected() -> Iterator[None]:
    """A block in which much is made and nothing is garbage: the collector would walk through all of it in vain."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@lru_cache(maxsize=1)
def _program() -> str:
    """The digest of the code that makes plans: another version may decide otherwise."""
    state = hashlib.sha256(retraining.__version__.encode())
    root = Path(retraining.__file__).parent
    for room in _ROOMS:
        for path in sorted((root / room).glob("*.py")):
            state.update(path.read_bytes())
    return state.hexdigest()
