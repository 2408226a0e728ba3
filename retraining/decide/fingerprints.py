"""Fingerprints in parts: equal parts mean equal results, and the part that differs is the reason.

Three actions have fingerprints (docs/design.md 10): a fit, the column piece that a fit predicts for one block
or fold, and the attempt to replace a node's champion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from retraining.decide.fits import Folds, LeftOut, in_slice
from retraining.decide.recipes import Recipe, digest_of
from retraining.decide.snapshots import NodeData
from retraining.release.values import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDigests:
    """The digests of one assembled input on a node's rows.

    `cells` are by (part, known): what fits learn from. `parts` are by block or fold: what fits predict from, which
    is the same whether a label came or not.
    """

    cells: Mapping[tuple[int, int], str]
    parts: Mapping[int, str]


_NOTHING = ColumnDigests(cells={}, parts={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a node's fits are made from: its recipe, its rows, its upstream columns, the libraries.

    `upstream` maps the context (`None` in the time scheme) and an input's column to the digests of
    the assembled column.
    """

    recipe: Recipe
    data: NodeData
    upstream: Mapping[tuple[frozenset[int] | None, str], ColumnDigests]
    environment: str

    def fit(self, left_out: LeftOut) -> str:
        """The fingerprint of one fit."""
        return digest_of(
            {
                "action": "fit",
                "recipe": self.recipe.fit_digest(),
                "left_out": str(left_out),
                "data": self.data.slice_digest(left_out, self.recipe.first_block(left_out)),
                "upstream": dict(self.upstream_parts(left_out)),
                "environment": self.environment,
                "seed": self.recipe.fit_seed(left_out),
            }
        )

    def column(self, fit: str, left_out: LeftOut, part: int) -> str:
        """The fingerprint of what a fit predicts for all rows of one block or fold."""
        context = left_out.folds if isinstance(left_out, Folds) else None
        inputs = {
            item.column: self.upstream.get((context, item.column), _NOTHING).parts.get(part, "")
            for item in self.recipe.inputs
        }
        features = self.data.features.get(part, "")
        return digest_of(
            {"action": "column", "fit": fit, "part": part, "features": features, "upstream": dict(inputs)}
        )

    def parts(self, shipped: LeftOut) -> Parts:
        """The fingerprint of a version in parts, by its shipped fit."""
        return Parts(
            recipe=self.recipe.digest(),
            data=self.data.slice_digest(shipped, self.recipe.first_block(shipped)),
            upstream=self.upstream_parts(shipped),
            environment=self.environment,
        )

    def upstream_parts(self, left_out: LeftOut) -> dict[str, str]:
        """For each input the digest of its column on the rows that a fit learns from."""
        context = left_out.folds if isinstance(left_out, Folds) else None
        first = self.recipe.first_block(left_out)
        return {
            item.column: _over(
                self.upstream.get((context, item.column), _NOTHING).cells,
                lambda part, known: in_slice(part, known, left_out, first),
            )
            for item in self.recipe.inputs
        }


def attempt_fingerprint(node: str, parts: Parts, holdout: Iterable[int]) -> str:
    """The identity of one try: the version's parts and the holdout that it would be judged on."""
    return digest_of({"node": node, "parts": parts.to_json(), "holdout": list(holdout)})


def version_of(node: str, parts: Parts, left_out: LeftOut) -> str:
    """The name of a version: 16 hexadecimal digits of its node, parts and cut."""
    return digest_of({"node": node, "parts": parts.to_json(), "cut": str(left_out)})[7:23]


def _over(digests: Mapping[tuple[int, int], str], wanted: Callable[[int, int], bool]) -> str:
    state = hashlib.sha256()
    for (part, known), digest in sorted(digests.items()):
        if wanted(part, known):
            state.update(f"{part},{known},{digest};".encode())
    return "sha256:" + state.hexdigest()
