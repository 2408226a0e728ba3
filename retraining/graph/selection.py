"""Which nodes a person means: dbt's selection grammar, read into a tree and then evaluated on sets.

::

    expression    =  intersection { space intersection }          union
    intersection  =  term { "," term }                            no spaces around the comma
    term          =  "@" atom  |  [ [depth] "+" ] atom [ "+" [depth] ]
    atom          =  method ":" pattern  |  model pattern [ "[*]" | "[" value { "," value } "]" ]
    value         =  column "=" text                              text: bare or a JSON string

`+name` adds everything that the node depends on, `name+` everything that depends on it, a depth limits
the number of edges, and `@name` means the node, its dependents, and all that any of them depends on.
`model[*]` is the model's pool. Methods are `tag` and `state`. Patterns may hold `*` and `?`; a quoted value is literal.

The invariant: reading knows no graph and evaluating knows no grammar, so what an expression selects
depends on the sets alone. What names nothing is an error; only a state may be empty.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, assert_never

from retraining.errors import SelectionError
from retraining.graph.graph import Graph
from retraining.graph.nodes import POOL, Node, PartitionValue, parse_node_name, read_partition, unreadable

__all__ = [
    "Intersection",
    "ModelAtom",
    "ModelNames",
    "Models",
    "Selection",
    "StateAtom",
    "TagAtom",
    "Term",
    "Union",
    "parse_selection",
    "resolve_selection",
    "select",
]

_METHODS = ("state", "tag")
_TERM = re.compile(r"(?P<at>@)?(?:(?P<up_depth>\d*)(?P<up>\+))?(?P<word>[^\s,+@\[\]\"=]*)")
_TAIL = re.compile(r"(?P<down>\+)(?P<down_depth>\d*)")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAtom:
    """Nodes by the name of their model and, if `values` is not empty, by their partition; or its `pool`."""

    model: str
    values: tuple[PartitionValue, ...] = ()
    pool: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TagAtom:
    """All nodes of the models with a tag."""

    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateAtom:
    """The nodes that are in a state now; which states there are, the caller of `select` says."""

    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An atom with its neighbourhood.

    `upstream` and `downstream` are numbers of edges: 0 adds nothing, None everything. `closed` (`@`)
    means all downstreams and everything upstream of any of them. `text[start:end]` is the term.
    """

    atom: ModelAtom | TagAtom | StateAtom
    upstream: int | None
    downstream: int | None
    closed: bool
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Intersection:
    """What every one of two or more terms selects."""

    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Union:
    """What any of two or more parts selects."""

    parts: tuple[Intersection | Term, ...]


Selection: TypeAlias = Union | Intersection | Term


def parse_selection(text: str) -> Selection:
    """The tree of a selection expression.

    Raises `SelectionError` with a caret under the first character that cannot be understood.
    """
    parts: list[Intersection | Term] = []
    position = _skip_spaces(text, 0)
    while position < len(text):
        terms: list[Term] = []
        while True:
            term = _read_term(text, position)
            terms.append(term)
            position = term.end
            if text[position : position + 1] != ",":
                break
            position += 1
        parts.append(terms[0] if len(terms) == 1 else Intersection(terms=tuple(terms)))
        after = _skip_spaces(text, position)
        if after == position and position < len(text):
            raise unreadable(text, position, "expected a space, a comma or the end of the expression here")
        position = after
    if not parts:
        raise SelectionError(
            "the selection is empty", "name a model, or leave the option out to select every node"
        )
    return parts[0] if len(parts) == 1 else Union(parts=tuple(parts))


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


def _skip_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _read_term(text: str, start: int) -> Term:
    head = _TERM.match(text, start)
    assert head is not None
    word, position = head["word"], head.end()
    if head["at"] and head["up"]:
        raise unreadable(text, start, "'@' already selects upstream nodes: leave out the '+' before the name")
    if not word:
        hint = "a comma joins two terms without a space" if text[position - 1 : position] == "," else ""
        raise unreadable(text, position, "expected the name of a model, tag:… or state:… here", hint)
    values: tuple[PartitionValue, ...] = ()
    pool = text.startswith(POOL, position)
    if pool:
        position += len(POOL)
    elif text[position : position + 1] == "[":
        values, position = read_partition(text, position)
    atom = _atom(text, head.start("word"), word, values, pool)
    tail = _TAIL.match(text, position)
    if tail and head["at"]:
        raise unreadable(
            text, position, "'@' already selects downstream nodes: leave out the '+' after the name"
        )
    return Term(
        atom=atom,
        upstream=_depth(head["up"], head["up_depth"]),
        downstream=_depth(tail and tail["down"], tail["down_depth"] if tail else ""),
        closed=bool(head["at"]),
        text=text,
        start=start,
        end=tail.end() if tail else position,
    )


def _depth(plus: str | None, digits: str) -> int | None:
    """The number of edges that a plus sign asks for; None is no limit, 0 no plus sign."""
    if not plus:
        return 0
    return int(digits[:9]) if digits else None


def _atom(
    text: str, start: int, word: str, values: tuple[PartitionValue, ...], pool: bool
) -> ModelAtom | TagAtom | StateAtom:
    method, colon, value = word.partition(":")
    if not colon:
        columns = [each.column for each in values]
        for position, column in enumerate(columns):
            if column in columns[:position]:
                raise unreadable(
                    text,
                    values[position].position,
                    f"the column {column!r} is named twice, and no partition has two values of it",
                    f"select both with a space: {word}[…] {word}[…]",
                )
        return ModelAtom(model=word, values=values, pool=pool)
    if method not in _METHODS:
        raise unreadable(
            text,
            start,
            f"there is no selection method {method!r}",
            f"the methods are {_listed(_METHODS, ':')}",
        )
    if values or pool:
        raise unreadable(text, start + len(word), f"{method}: cannot be followed by a partition")
    if not value:
        raise unreadable(text, start + len(word), f"expected the name of a {method} here")
    return TagAtom(tag=value) if method == "tag" else StateAtom(state=value)


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


def _listed(names: Sequence[str], suffix: str = "") -> str:
    return ", ".join(f"{name}{suffix}" for name in names)
