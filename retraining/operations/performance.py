"""A champion's performance as a document: its metrics block by block, beside what its gate said."""

from __future__ import annotations

from retraining.decide.calendar import Calendar
from retraining.decide.measures import MeasuredBlock, mean_of
from retraining.decide.performance import why_not_compared
from retraining.decide.wording import finite_or_none, numbers
from retraining.manifest.own import metric_facts
from retraining.manifest.values import Json, Model
from retraining.operations.measured import read_measured
from retraining.operations.measures import NodeMeasures
from retraining.store.log import Store

__all__ = ["performance_document"]


def performance_document(store: Store, node: str, found: NodeMeasures, model: Model) -> dict[str, Json]:
    """What is known of how a node's champion does: of each block, of all since its cut, and of those of its gate."""
    measured = read_measured(store, node, found, profiles=False)
    worth, track = found.worth, found.track(model)
    judged = set(measured.judged)
    blocks: list[Json] = []
    for block in (*measured.reference, *measured.since):
        role = "judged" if block.part in judged else "since" if block in measured.since else "before"
        blocks.append(
            {
                **_when(found, block.part),
                "role": role,
                "mature": block.mature,
                "rows": sum(one.rows for one in block.measures),
                "labelled": sum(one.labelled for one in block.measures),
                "values": _values(found, model, block) if block.mature else {},
            }
        )
    compared = worth.worsening if worth is not None else None
    return {
        "metrics": list(found.order.metrics),
        "deciding": track.deciding,
        "blocks": blocks,
        "judged": None if worth is None or not worth.gate else numbers(worth.gate),
        "since": None if worth is None else numbers(worth.values),
        "since_from": track.since,
        "rows": None if worth is None else worth.rows,
        "days": None if worth is None or track.since is None else worth.days,
        "worsening": None if compared is None else compared.to_json(),
        "not_compared": why_not_compared(track) if found.order.compared else "",
        "pending": found.pending,
        "lost": len(measured.lost),
        "error": found.error or "",
    }


def _when(found: NodeMeasures, part: int) -> dict[str, Json]:
    """The first and the last day of a block, or the fold."""
    if found.block_days is None:
        return {"from": None, "to": None, "fold": part}
    calendar = Calendar("UTC", found.block_days)  # borders are days, in whatever zone
    last = calendar.date(part + 1).toordinal() - 1
    return {
        "from": calendar.date(part).isoformat(),
        "to": type(calendar.date(part)).fromordinal(last).isoformat(),
        "fold": None,
    }


def _values(found: NodeMeasures, model: Model, block: MeasuredBlock) -> dict[str, Json]:
    values: dict[str, Json] = {}
    for name in found.order.metrics:
        made_of_sums = metric_facts(name, model.own_metrics).made_of_sums
        value = mean_of(name, block.measures) if made_of_sums else block.values.get(name)
        values[name] = finite_or_none(value)
    return values
