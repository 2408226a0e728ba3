"""Which nodes a person means: an expression (`graph.expressions`) evaluated on sets.

The invariant: reading knows no graph and evaluating knows no grammar, so what an expression selects
depends on the sets alone. What names nothing is an error; only a state may be empty.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, assert_never

from retraining.errors import SelectionError
from retraining.graph.expressions import (
    Intersection,
    ModelAtom,
    Selection,
    StateAtom,
    TagAtom,
    Term,
    Union,
    parse_selection,
)
from retraining.graph.graph import Graph
from retraining.graph.nodes import Node, parse_node_name

__all__ = ["ModelNames", "Models", "resolve_selection", "select"]


class ModelNames(Protocol):
    """What a selection may ask of a model."""

    @property
    def tags(self) -> Collection[str]:
        """Its tags."""
        ...

    @property
    def partition_by(self) -> Collection[str]:
        """The columns that its nodes are partitions by."""
        ...


class Models(Protocol):
    """What has models by name: a manifest, or what a store knows of one."""

    @property
    def models(self) -> Mapping[str, ModelNames]:
        """The models by name."""
        ...


def select(
    tree: Selection, graph: Graph, manifest: Models, states: Mapping[str, Collection[str]]
) -> frozenset[str]:
    """The names of the nodes that a tree selects.

    `states` holds for each state that `state:` may name the nodes that are in it, also if there are none.
    Raises `SelectionError` for a model, partition, tag or state that does not exist, naming the nearest
    that do, and for an intersection without a state that nothing can satisfy.
    """
    match tree:
        case Union():
            return frozenset().union(*(select(part, graph, manifest, states) for part in tree.parts))
        case Intersection():
            common = frozenset.intersection(*(select(term, graph, manifest, states) for term in tree.terms))
            if not common and not any(isinstance(term.atom, StateAtom) for term in tree.terms):
                start, end = tree.terms[0].start, tree.terms[-1].end
                raise SelectionError(
                    f"no node is in all parts of the intersection {tree.terms[0].text[start:end]!r}",
                    "a comma means 'and'; write a space for 'or'",
                )
            return common
        case Term():
            return _neighbourhood(tree, _atom_nodes(tree, graph, manifest, states), graph)
        case _:
            assert_never(tree)


def resolve_selection(
    selected: Sequence[str],
    excluded: Sequence[str],
    graph: Graph,
    manifest: Models,
    states: Mapping[str, Collection[str]],
) -> frozenset[str]:
    """The nodes that any of `selected` names and none of `excluded`; without `selected`, of all nodes.

    Each entry is one expression. Raises `SelectionError` as `parse_selection` and `select` do.
    """

    def union(expressions: Iterable[str]) -> frozenset[str]:
        trees = [parse_selection(expression) for expression in expressions]
        return frozenset().union(*(select(tree, graph, manifest, states) for tree in trees))

    wanted = union(selected) if selected else frozenset(node.name for node in graph.nodes)
    return wanted - union(excluded)


def _atom_nodes(
    term: Term, graph: Graph, manifest: Models, states: Mapping[str, Collection[str]]
) -> frozenset[str]:
    match term.atom:
        case ModelAtom():
            return _model_nodes(term, term.atom, graph, manifest)
        case TagAtom(tag=tag):
            known = {each for model in manifest.models.values() for each in model.tags}
            tags = _matching(term, tag, known, "tag")
            models = {name for name, model in manifest.models.items() if tags.intersection(model.tags)}
            return frozenset(node.name for node in graph.nodes if node.model in models)
        case StateAtom(state=state):
            chosen = _matching(term, state, states, "state")
            return frozenset(node for name in chosen for node in states[name] if node in graph)
        case _:
            assert_never(term.atom)


def _model_nodes(term: Term, atom: ModelAtom, graph: Graph, manifest: Models) -> frozenset[str]:
    models = _matching(term, atom.model, manifest.models, "model")
    nodes = [node for node in graph.nodes if node.model in models]
    if not nodes:
        raise SelectionError(
            f"{_where(term)}: {_listed(sorted(models))} has no nodes: no partition of it has enough rows",
            "look at partition_by and partitions in the manifest",
        )
    if atom.pool:
        return _pools(term, models, nodes)
    if not atom.values:
        return frozenset(node.name for node in nodes)
    columns = {column for model in models for column in manifest.models[model].partition_by}
    for each in atom.values:
        if each.column not in columns:
            if not columns:
                raise SelectionError(f"{_where(term)}: {_listed(sorted(models))} has no partitions")
            raise SelectionError(
                f"{_where(term)}: {_listed(sorted(models))} is not partitioned by {each.column!r}",
                f"its partition columns are {_listed(sorted(columns))}",
            )
    return _nodes_of_partition(term, atom, {node.name: dict(parse_node_name(node.name)[1]) for node in nodes})


def _pools(term: Term, models: Collection[str], nodes: Sequence[Node]) -> frozenset[str]:
    found = frozenset(node.name for node in nodes if node.pool)
    if not found:
        raise SelectionError(
            f"{_where(term)}: {_listed(sorted(models))} has no pool",
            "write `partitions: {small: pool}` in the manifest to have one",
        )
    return found


def _nodes_of_partition(
    term: Term, atom: ModelAtom, partitions: Mapping[str, Mapping[str, str]]
) -> frozenset[str]:
    tests = [(each.column, _pattern(each.value, each.quoted)) for each in atom.values]
    found = frozenset(
        name
        for name, partition in partitions.items()
        if all(column in partition and matches(partition[column]) for column, matches in tests)
    )
    if found:
        return found
    for each, (column, matches) in zip(atom.values, tests, strict=True):
        present = {partition[column] for partition in partitions.values() if column in partition}
        if not any(map(matches, present)):
            raise SelectionError(
                f"{_where(term)}: no node has {column}={each.value}", _nearest(each.value, present, column)
            )
    raise SelectionError(
        f"{_where(term)}: each of these values has nodes, but no node has all of them",
        "list the nodes of this model with `retrain ls`",
    )


def _neighbourhood(term: Term, nodes: frozenset[str], graph: Graph) -> frozenset[str]:
    if term.closed:
        with_downstreams = nodes | graph.descendants(nodes)
        return with_downstreams | graph.ancestors(with_downstreams)
    return nodes | graph.ancestors(nodes, term.upstream) | graph.descendants(nodes, term.downstream)


def _matching(term: Term, pattern: str, known: Iterable[str], what: str) -> frozenset[str]:
    """The known names that a pattern matches; an error if it matches none."""
    matches = _pattern(pattern, quoted=False)
    known = sorted(known)
    found = frozenset(filter(matches, known))
    if not found:
        raise SelectionError(
            f"{_where(term)}: no {what} is named {pattern!r}", _nearest(pattern, known, what)
        )
    return found


def _pattern(text: str, quoted: bool) -> Callable[[str], bool]:
    """Whether a text equals this one, or matches it where it is not quoted and holds wildcards."""
    if quoted or not ("*" in text or "?" in text):
        return text.__eq__
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in text)
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda name: compiled.fullmatch(name) is not None


def _where(term: Term) -> str:
    """The term as written, for the beginning of an error."""
    return f"selection {term.text[term.start : term.end]!r}"


def _nearest(wanted: str, known: Collection[str], what: str) -> str:
    """What to write instead: the nearest names, or the first few if none is near."""
    names = sorted(known)
    if not names:
        return f"this manifest has no {what}s" if what == "tag" else f"there is no {what} to choose from"
    folded = {name.casefold(): name for name in reversed(names)}
    near = difflib.get_close_matches(wanted.casefold(), list(folded), n=3)
    if near:
        return f"did you mean {_listed([folded[each] for each in near])}?"
    shown = names[:10]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"there is {_listed(shown)}{more}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
