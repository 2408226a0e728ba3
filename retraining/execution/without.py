"""The same fits without an input: what an upstream column brings to its reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from retraining.decide.fits import LeftOut
from retraining.execution.candidates import Candidate
from retraining.execution.flows import Flow
from retraining.execution.predictions import predictions
from retraining.execution.study import Floats, Study
from retraining.manifest.values import Input

__all__ = ["ALL_INPUTS", "without_inputs"]

#: The name under which the comparison without any upstream column is recorded.
ALL_INPUTS = "*"


def without_inputs(study: Study, candidate: Candidate, fits: Mapping[LeftOut, Sequence[int]]) -> Flow:
    """Predictions of the same fits without each *new* input, and without all (None: nothing would be left).

    Made once when an edge is new: a due model costs one or two fits, and these would double them. Where somebody
    asked, they are made without every input.
    """
    state = study.world.states.get(candidate.node)
    document = study.document(state.document) if state is not None else None
    asked = study.world.plan[candidate.node].compared
    known = set(document["edges_known"]) if document and not asked else set()
    inputs = candidate.recipe.inputs
    dropped = {item.column: {item.column} for item in inputs if item.column not in known}
    if len(inputs) > 1 and dropped:
        dropped[ALL_INPUTS] = {item.column for item in inputs}
    without: dict[str, Floats | None] = {}
    for name, columns in dropped.items():
        rest = tuple(item for item in inputs if item.column not in columns)
        if not rest and not candidate.recipe.features:
            without[name] = None
            continue
        variant = _replace_inputs(candidate, rest)
        values, error = yield from predictions(study, variant, fits, "comparison")
        if error is None:
            without[name] = values
        _charge(candidate, variant)
    return without


def _charge(candidate: Candidate, variant: Candidate) -> None:
    made = variant.counts.get("made", 0)
    candidate.counts["comparisons"] = candidate.counts.get("comparisons", 0) + made


def _replace_inputs(candidate: Candidate, inputs: tuple[Input, ...]) -> Candidate:
    """The candidate with fewer inputs: same rows, same other columns, other fits."""
    recipe = replace(candidate.recipe, inputs=inputs)
    kept = {item.column for item in inputs}
    position = [index for index, item in enumerate(candidate.recipe.inputs) if item.column in kept]
    return Candidate(
        node=candidate.node,
        side=candidate.side,
        recipe=recipe,
        data=candidate.data,
        rows=candidate.rows,
        as_of=candidate.as_of,
        environment=candidate.environment,
        cut=candidate.cut,
        sources={column: sources for column, sources in candidate.sources.items() if column in kept},
        inputs={context: tuple(specs[i] for i in position) for context, specs in candidate.inputs.items()},
        digests={key: digest for key, digest in candidate.digests.items() if key[1] in kept},
        # asked only whether a fit can be made, which is answered as with the input
        usable=candidate.usable,
    )
