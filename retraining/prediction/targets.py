"""Which released nodes a name asks for: a node, or every node of a model.

A name that is not released is an error that says what is, or why the node has no version yet.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

from retraining.errors import InputError
from retraining.graph.nodes import is_pool, parse_node_name
from retraining.manifest.given import given_text
from retraining.release.values import NodeState

_SHOWN = 8


def released(states: Mapping[str, NodeState]) -> tuple[str, ...]:
    """The nodes that have a released version, sorted."""
    return tuple(sorted(name for name, state in states.items() if state.version is not None))


def find_nodes(target: str, states: Mapping[str, NodeState]) -> tuple[str, ...]:
    """The released nodes that a model's or a node's name asks for, sorted.

    Of a model whose partitions have changed since, nodes that left the manifest serve only where they are
    cut along the same columns as those that stayed; a pool that left it does not. InputError for a name that
    nothing released has.
    """
    model, pairs = parse_node_name(given_text(target, "what is asked for", "the name of a model or node"))
    nodes = [name for name in released(states) if parse_node_name(name)[0] == model]
    if is_pool(target):
        if target in nodes:
            return (target,)
    elif not pairs:
        whole = _of_one_cut(nodes, states)
        if whole:
            return whole
    else:
        exact = [
            name for name in nodes if dict(parse_node_name(name)[1]) == dict(pairs) and not is_pool(name)
        ]
        if exact:
            return (exact[0],)
    raise _unknown(target, model, nodes, states)


def listed(names: Sequence[str], shown: int = _SHOWN) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that looks most like this one; None where none is like it."""
    folded = {candidate.casefold(): candidate for candidate in sorted(known, reverse=True)}
    found = difflib.get_close_matches(name.casefold(), list(folded), n=1)
    return folded[found[0]] if found else None


def _of_one_cut(nodes: Sequence[str], states: Mapping[str, NodeState]) -> tuple[str, ...]:
    staying = [name for name in nodes if not states[name].orphaned]
    if not staying:
        return tuple(nodes)
    cuts = {_columns(name) for name in staying if not is_pool(name)}
    gone = [name for name in nodes if states[name].orphaned and not is_pool(name) and _columns(name) in cuts]
    return tuple(sorted([*staying, *gone]))


def _columns(node: str) -> tuple[str, ...]:
    return tuple(column for column, _ in parse_node_name(node)[1])


def _unknown(target: str, model: str, nodes: Sequence[str], states: Mapping[str, NodeState]) -> InputError:
    tried = states.get(target)
    if tried is not None and tried.attempt is not None:
        return InputError(
            f"{target} has no released version: its last attempt was {tried.attempt.outcome} "
            f"({tried.attempt.because})",
            "look at it (`retrain explain`) and release it by `retrain promote`"
            if tried.attempt.outcome == "pending"
            else "see `retrain status`, and run again when that is mended",
        )
    if tried is not None and tried.version is None:
        held = "" if tried.pin is None else f", and is pinned so by {tried.pin.who}: {tried.pin.because}"
        return InputError(f"{target} has no released version{held}", "see `retrain status`")
    if nodes:
        return InputError(
            f"the release has no node {target}; of {model} it has {listed(nodes)}",
            f"did you mean `{nearest(target, nodes) or nodes[0]}`? `{model}` alone asks for all its nodes",
        )
    unreleased = [name for name in sorted(states) if parse_node_name(name)[0] == model]
    if unreleased:
        return _unknown(unreleased[0], model, nodes, states)
    models = sorted({parse_node_name(name)[0] for name in released(states)})
    near = nearest(model, models)
    return InputError(
        f"the release has no model {model}; it has {listed(models)}",
        f"did you mean `{near}`?" if near else "name one of them, or one of their nodes",
    )
