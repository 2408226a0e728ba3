"""A node's recipe: all that determines its fits but data, upstream columns and library versions.

A recipe is a value that outlives its manifest: a release keeps it, so that the champion's fits can
be made again after the manifest has changed.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from retraining.decide.calendar import Calendar
from retraining.decide.fits import Before, LeftOut
from retraining.graph.nodes import is_pool
from retraining.manifest.catalog import WITHOUT_EFFECT, EstimatorInfo
from retraining.manifest.own import is_own
from retraining.manifest.values import (
    FoldScheme,
    Input,
    Json,
    Manifest,
    Model,
    Scheme,
    Target,
    TimeScheme,
    Weight,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a node is trained on and how; `estimator` and `parameters` are as written in the manifest.

    Of parameters those that change no fit (`n_jobs` and its like) are left out.

    `source` is the digest of the module of an estimator of the user's own, None for those of the catalogue.
    """

    node: str
    model: str
    dataset: str
    partition: tuple[tuple[str, str], ...]
    target: Target
    features: tuple[str, ...]
    inputs: tuple[Input, ...]
    estimator: str
    module: str
    parameters: Mapping[str, Json]
    version: str | None
    task: Literal["regression", "classification"]
    preprocess: Literal["auto", "none"]
    accepts_nan: bool
    needs_scaling: bool
    probabilities: bool
    scheme: Scheme
    timezone: str
    seed: int
    ship: Literal["refit", "gated"]
    weight: Weight = field(default_factory=Weight)
    window: dt.timedelta | None = None
    train_where: str | None = None
    source: str | None = None
    degenerate: Literal["fail", "prior"] = "fail"

    @property
    def pool(self) -> bool:
        """True for a model's pool: it learns from all rows, and serves those of values that have no node."""
        return is_pool(self.node)

    def definition(self) -> dict[str, Json]:
        """The fields whose change changes a fit, as JSON: the reason `definition` names those that differ."""
        doc: dict[str, Json] = {
            "target": _target_json(self.target),
            "features": list(self.features),
            "inputs": [_input_json(item) for item in self.inputs],
            "estimator": self.estimator,
            "parameters": dict(self.parameters),
            "version": self.version,
            "preprocess": self.preprocess,
            "validation": _scheme_json(self.scheme),
            "timezone": self.timezone,
            "seed": self.seed,
            "partition": [list(pair) for pair in self.partition],
            "ship": self.ship,
        }
        # what is not written is not there, so that a recipe without it keeps its digest
        optional: dict[str, Json] = {
            "weight": _weight_json(self.weight),
            "window": _seconds(self.window),
            "train_where": self.train_where,
            "source": self.source,
            "task": self.task if is_own(self.estimator) else None,
            "degenerate": None if self.degenerate == "fail" else self.degenerate,
        }
        return doc | {name: value for name, value in optional.items() if value is not None}

    def digest(self) -> str:
        """The digest of the definition: the recipe's part of a fingerprint."""
        return digest_of(self.definition())

    def fit_digest(self) -> str:
        """As `digest`, without what decides only which fit ships."""
        doc = self.definition()
        del doc["ship"]
        scheme = doc["validation"]
        if isinstance(scheme, dict):
            scheme.pop("holdout", None)
        return digest_of(doc)

    def missing_policy(self, item: Input) -> Literal["drop", "nan", "refuse"]:
        """What happens to rows without an honest prediction of this upstream."""
        return item.missing or ("nan" if self.accepts_nan else "drop")

    def first_block(self, left_out: LeftOut) -> int | None:
        """The block in which the window of a fit begins; None where the fit has no window."""
        if self.window is None or not isinstance(left_out, Before) or not isinstance(self.scheme, TimeScheme):
            return None
        calendar = Calendar(self.timezone, self.scheme.block_days)
        return calendar.block_at(calendar.start(left_out.block) - microseconds(self.window))

    def fit_seed(self, left_out: object) -> int:
        """The seed of one fit, from the manifest's seed and the fit's name alone."""
        return seed_of(self.seed, self.node, left_out)

    def to_json(self) -> dict[str, Json]:
        """The recipe as a document, for `from_json`."""
        return {
            "format": 1,
            "node": self.node,
            "model": self.model,
            "dataset": self.dataset,
            "module": self.module,
            "task": self.task,
            "accepts_nan": self.accepts_nan,
            "needs_scaling": self.needs_scaling,
            "probabilities": self.probabilities,
            "definition": self.definition(),
        }


def seed_of(seed: int, *names: object) -> int:
    """A seed that follows from the manifest's and from names alone."""
    text = "|".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF


def digest_of(document: Json) -> str:
    """The sha256 of a JSON document in canonical form (sorted keys, no spaces)."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def microseconds(duration: dt.timedelta) -> int:
    """The duration in the unit of moments."""
    return duration // dt.timedelta(microseconds=1)


def recipe_of(
    manifest: Manifest,
    model: Model,
    node: str,
    values: tuple[str, ...],
    info: EstimatorInfo,
    source: str | None = None,
) -> Recipe:
    """The recipe of one node of the manifest; `source` is the digest of its own estimator's module."""
    return Recipe(
        node=node,
        model=model.name,
        dataset=model.dataset,
        # a pool has no values
        partition=tuple(zip(model.partition_by, values, strict=True)) if values else (),
        target=model.target,
        features=model.features,
        inputs=model.inputs,
        estimator=model.estimator.type,
        module=info.module,
        parameters={
            name: value
            for name, value in model.estimator.parameters.items()
            if name not in WITHOUT_EFFECT or is_own(model.estimator.type)
        },
        version=model.estimator.version,
        task=info.task,
        preprocess=model.preprocess,
        accepts_nan=info.accepts_nan,
        needs_scaling=info.needs_scaling,
        probabilities=info.probabilities,
        scheme=manifest.schemes[model.dataset],
        timezone=manifest.timezone,
        seed=manifest.seed,
        ship=model.ship,
        weight=model.weight,
        window=model.window,
        train_where=model.train_where,
        source=source,
        degenerate=model.degenerate,
    )


def recipe_from_json(doc: Mapping[str, Any]) -> Recipe:
    """The inverse of `Recipe.to_json`."""
    definition = doc["definition"]
    target = definition["target"]
    return Recipe(
        node=doc["node"],
        model=doc["model"],
        dataset=doc["dataset"],
        partition=tuple((column, text) for column, text in definition["partition"]),
        target=Target(
            column=target["column"],
            known_at=target["known_at"],
            known_after=_duration(target["known_after"]),
            classes=tuple(target["classes"]) if "classes" in target else None,
            positive=target.get("positive"),
        ),
        features=tuple(definition["features"]),
        inputs=tuple(_input_from_json(item) for item in definition["inputs"]),
        estimator=definition["estimator"],
        module=doc["module"],
        parameters=definition["parameters"],
        version=definition["version"],
        task=doc["task"],
        preprocess=definition["preprocess"],
        accepts_nan=doc["accepts_nan"],
        needs_scaling=doc["needs_scaling"],
        probabilities=doc["probabilities"],
        scheme=_scheme_from_json(definition["validation"]),
        timezone=definition["timezone"],
        seed=definition["seed"],
        ship=definition["ship"],
        weight=_weight_from_json(definition.get("weight")),
        window=_duration(definition.get("window")),
        train_where=definition.get("train_where"),
        source=definition.get("source"),
        degenerate=definition.get("degenerate", "fail"),
    )


def _seconds(duration: dt.timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _duration(seconds: float | None) -> dt.timedelta | None:
    return None if seconds is None else dt.timedelta(seconds=seconds)


def _target_json(target: Target) -> dict[str, Json]:
    doc: dict[str, Json] = {
        "column": target.column,
        "known_at": target.known_at,
        "known_after": _seconds(target.known_after),
    }
    if target.classes is not None:
        doc["classes"] = list(target.classes)
    if target.positive is not None:
        doc["positive"] = target.positive
    return doc


def _weight_json(weight: Weight) -> Json:
    if weight == Weight():
        return None
    return {"column": weight.column, "half_life": _seconds(weight.half_life)}


def _weight_from_json(doc: Mapping[str, Any] | None) -> Weight:
    if doc is None:
        return Weight()
    return Weight(column=doc["column"], half_life=_duration(doc["half_life"]))


def _input_json(item: Input) -> dict[str, Json]:
    doc: dict[str, Json] = {
        "upstream": item.upstream,
        "column": item.column,
        "match": [list(pair) for pair in item.match],
        "missing": item.missing,
    }
    if item.several:
        doc["from"] = list(item.several)
    if item.as_of:
        doc["as_of"] = {"tolerance": _seconds(item.tolerance)}
    if item.aggregate:
        doc["aggregate"] = list(item.aggregate)
    return doc


def _input_from_json(doc: Mapping[str, Any]) -> Input:
    match = tuple((upstream, own) for upstream, own in doc["match"])
    return Input(
        upstream=doc["upstream"],
        column=doc["column"],
        match=match,
        missing=doc["missing"],
        several=tuple(doc.get("from", ())),
        as_of="as_of" in doc,
        tolerance=_duration(doc["as_of"]["tolerance"]) if "as_of" in doc else None,
        aggregate=tuple(doc.get("aggregate", ())),
    )


def _scheme_json(scheme: Scheme) -> dict[str, Json]:
    if isinstance(scheme, FoldScheme):
        doc: dict[str, Json] = {"scheme": "folds", "folds": scheme.folds}
        if scheme.column is not None:
            doc |= {"column": scheme.column, "values": list(scheme.values)}
        return doc
    return {
        "scheme": "time",
        "block_days": scheme.block_days,
        "holdout": scheme.holdout,
        "embargo": scheme.embargo.total_seconds(),
        "min_rows": scheme.min_rows,
        "min_blocks": scheme.min_blocks,
    }


def _scheme_from_json(doc: Mapping[str, Any]) -> Scheme:
    if doc["scheme"] == "folds":
        return FoldScheme(folds=doc["folds"], column=doc.get("column"), values=tuple(doc.get("values", ())))
    return TimeScheme(
        block_days=doc["block_days"],
        holdout=doc["holdout"],
        embargo=dt.timedelta(seconds=doc["embargo"]),
        min_rows=doc["min_rows"],
        min_blocks=doc["min_blocks"],
    )
