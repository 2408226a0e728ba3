"""What the fields of one input say about each other, and about the model's other columns."""

from __future__ import annotations

from collections.abc import Iterator

from retraining.manifest.composites import Item
from retraining.manifest.grammar import AsOf, Edges, Models
from retraining.manifest.problems import Problems
from retraining.manifest.readings import ModelReading
from retraining.manifest.records import Reading
from retraining.manifest.values import FoldScheme, Scheme

__all__ = ["check_edges", "match_field"]


def check_edges(model: ModelReading, scheme: Scheme | None, problems: Problems) -> None:
    """Note inputs that contradict themselves, and columns that the estimator would see twice."""
    for edge in _readings(model):
        _check_kind(edge, scheme, problems)
    _check_outputs(model, problems)


def _readings(model: ModelReading) -> Iterator[Reading]:
    for item in (model.value(Models.INPUTS) or {}).values():
        if item.value is not None:
            yield item.value


def _check_kind(edge: Reading, scheme: Scheme | None, problems: Problems) -> None:
    """An input is one of row by row, `match`, `as_of`, and `aggregate` with `match`."""
    if edge.has(Edges.AS_OF):
        where, path = edge.where(Edges.AS_OF), edge.at(Edges.AS_OF)
        for other in (Edges.AGGREGATE, Edges.MATCH):
            if edge.has(other):
                found = f"`as_of` reads one row and has its own `match`; found `{other.name}` beside it"
                problems.add(edge.where(other), edge.at(other), found, "keep one of the two")
                return
        if isinstance(scheme, FoldScheme):
            found = "`as_of` needs moments, which the fold scheme does not have"
            problems.add(where, path, found, "write `match`, or validate by time")
    elif edge.has(Edges.AGGREGATE) and not edge.has(Edges.MATCH) and edge.complete:
        where, path = edge.where(Edges.AGGREGATE), edge.at(Edges.AGGREGATE)
        found = "`aggregate` without `match`: it is not said which rows are a group"
        problems.add(where, path, found, "add match: {column of the upstream's dataset: own column}")


def _check_outputs(model: ModelReading, problems: Problems) -> None:
    """No two columns that the estimator sees may have one name."""
    seen: dict[str, str] = dict.fromkeys(model.value(Models.FEATURES) or (), "a feature")
    for name, item in (model.value(Models.INPUTS) or {}).items():
        if item.value is None or item.value.refused(Edges.AS):
            continue
        column = item.value.value(Edges.AS) or name
        functions = item.value.value(Edges.AGGREGATE)
        for output in [f"{column}.{function}" for function in functions] if functions else [column]:
            if output in seen:
                found = (
                    f"the prediction of `{name}` would be a column `{output}`, which is {seen[output]} too"
                )
                step = "give it another name with `as`"
                problems.add(item.key, item.value.path, found, step)
            else:
                seen[output] = f"the prediction of `{name}`"


def match_field(edge: Reading) -> tuple[str, ...] | dict[str, Item[str]] | None:
    """What `match` says, of the edge itself or of its `as_of`; None where it is not written."""
    as_of = edge.value(Edges.AS_OF)
    return as_of.value(AsOf.MATCH) if as_of is not None else edge.value(Edges.MATCH)
