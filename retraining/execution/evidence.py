"""Makes the evidence of a gate from what a score task answered."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.decide.calendar import Calendar
from retraining.decide.evidence import Check, Difference, GateEvidence, Kind
from retraining.decide.fits import Before, LeftOut
from retraining.decide.losses import ClusterLosses
from retraining.decide.slices import Slice, judge_slices
from retraining.decide.wording import finite_or_none
from retraining.execution.candidates import Candidate, block_days
from retraining.execution.study import Study
from retraining.manifest.values import Json

__all__ = ["difference_of", "edges_of", "evidence_of", "holdout_of", "prior_notes"]

#: A verdict's document has the sums of each day of a holdout up to so many days.
_MOST_DAYS = 100


def evidence_of(
    study: Study, candidate: Candidate, answer: Mapping[str, Any], kind: Kind, judged: NDArray[np.bool_]
) -> GateEvidence:
    """The numbers that the candidate is judged by."""
    model = study.world.manifest.models[candidate.recipe.model]
    main, labels, losses = model.metrics[0], answer["labels"], answer["losses"]
    if answer["champion"] is not None and _no_value(answer["champion"][main], answer["challenger"][main]):
        kind = "incomparable"
    days = losses if candidate.cut is not None else None
    return GateEvidence(
        kind=kind,
        metrics=model.metrics,
        challenger=answer["challenger"],
        champion=answer["champion"],
        dummy=answer["dummy"],
        difference=None if kind == "incomparable" else difference_of(answer["difference"], days),
        holdout=holdout_of(candidate, judged),
        checks=() if labels is None else (Check(**labels),),
        not_finite=answer["not_finite"],
        slices=judge_slices([_slice_of(one) for one in answer["slices"]], model.gate.min_clusters),
        losses=ClusterLosses.from_json(losses) if losses is not None and model.gate.by == "model" else None,
    )


def edges_of(answer: Mapping[str, Any], holdout: Mapping[str, Json]) -> list[dict[str, Any]]:
    """What each compared input brings, as a document."""
    return [
        {
            "column": column,
            # of too few clusters there are no bounds
            **{
                name: finite_or_none(value) if isinstance(value, float) else value
                for name, value in numbers.items()
            },
            "difference": finite_or_none(numbers["value"]),
            "from": holdout.get("from"),
            "to": holdout.get("to"),
        }
        for column, numbers in answer["without"].items()
    ]


def _slice_of(numbers: Mapping[str, Any]) -> Slice:
    losses = numbers["losses"]
    return Slice(**{**numbers, "losses": None if losses is None else ClusterLosses.from_json(losses)})


def prior_notes(study: Study, candidate: Candidate, fits: Iterable[LeftOut]) -> tuple[str, ...]:
    """Sentences on those of some fits that could learn nothing and predict a constant (`degenerate: prior`)."""
    made = [(left_out, candidate.made.get(str(left_out))) for left_out in fits]
    found = [(left_out, study.results.find("fit", name)) for left_out, name in made if name is not None]
    names = [
        fit_name(candidate, left_out)
        for left_out, record in found
        if record is not None and record.metrics.get("degenerate") == "prior"
    ]
    what = "class" if candidate.recipe.task == "classification" else "value"
    return tuple(f"the fit {name} learnt from rows of one {what} and predicts it" for name in names)


def fit_name(candidate: Candidate, left_out: LeftOut) -> str:
    """A fit's name for people."""
    if isinstance(left_out, Before):
        calendar = Calendar(candidate.recipe.timezone, block_days(candidate))
        return f"before {calendar.date(left_out.block).isoformat()}"
    folds = ", ".join(str(fold) for fold in sorted(left_out.folds))
    return f"without fold {folds}" if folds else "of all folds"


def _no_value(champion: float, challenger: float) -> bool:
    """True where the champion alone has no value of the deciding metric: it cannot win, nor be compared with."""
    return math.isfinite(challenger) and not math.isfinite(champion)


def difference_of(
    numbers: Mapping[str, Any] | None, losses: Mapping[str, Any] | None = None
) -> Difference | None:
    """The difference that a score task answered with; `losses` are its sums by day."""
    if numbers is None:
        return None
    by_cluster = None
    if losses is not None and len(losses["cluster"]) <= _MOST_DAYS:
        epoch = dt.date(1970, 1, 1)
        days: list[Json] = [(epoch + dt.timedelta(days=day)).isoformat() for day in losses["cluster"]]
        by_cluster = {"day": days, **{name: losses[name] for name in losses if name != "cluster"}}
    return Difference(
        metric=numbers["metric"],
        value=numbers["value"],
        lower=numbers["lower"],
        upper=numbers["upper"],
        champion_loss=numbers["without"],
        rows=numbers["rows"],
        clusters=numbers["clusters"],
        draws=numbers["draws"],
        seed=numbers["seed"],
        by_cluster=by_cluster,
    )


def holdout_of(candidate: Candidate, judged: NDArray[np.bool_]) -> dict[str, Any]:
    """The judged rows in numbers: rows, clusters, and in the time scheme from, to and blocks."""
    clusters = len(np.unique(candidate.rows.cluster[judged]))
    doc: dict[str, Any] = {"rows": int(judged.sum()), "clusters": clusters}
    if candidate.cut is not None:
        calendar = Calendar(candidate.recipe.timezone, block_days(candidate))
        blocks = candidate.data.holdout
        doc |= {
            "from": calendar.date(blocks[0]).isoformat(),
            "to": (calendar.date(blocks[-1] + 1) - dt.timedelta(days=1)).isoformat(),
            "blocks": len(blocks),
        }
    return doc
