"""A manifest in which every model has another rule than its own: what a backtest tries."""

from __future__ import annotations

from dataclasses import replace

from retraining.manifest.document import read_document
from retraining.manifest.grammar import Models, Top
from retraining.manifest.including import Joined
from retraining.manifest.nodes import Entry, MappingNode, Node, ScalarNode
from retraining.manifest.problems import Problems

__all__ = ["with_rule"]


def with_rule(joined: Joined, rule: str, problems: Problems) -> Joined:
    """The tree with a rule, as YAML text, in place of each model's `retrain_when`; problems are noted."""
    node = read_document(rule.encode(), problems)
    if node is None or not isinstance(joined.root, MappingNode):
        return joined
    entries = tuple(
        replace(entry, node=_in_models(entry.node, node)) if entry.key.text == Top.MODELS.name else entry
        for entry in joined.root.entries
    )
    return replace(joined, root=replace(joined.root, entries=entries))


def _in_models(models: Node, rule: Node) -> Node:
    if not isinstance(models, MappingNode):
        return models
    return replace(
        models, entries=tuple(replace(entry, node=_in_model(entry.node, rule)) for entry in models.entries)
    )


def _in_model(model: Node, rule: Node) -> Node:
    if not isinstance(model, MappingNode):
        return model
    name = Models.RETRAIN_WHEN.name
    key = ScalarNode(line=rule.line, column=rule.column, text=name, value=name)
    others = tuple(entry for entry in model.entries if entry.key.text != name)
    return replace(model, entries=(*others, Entry(key=key, node=rule)))
