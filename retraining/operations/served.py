"""What the releases of a replay said of the blocks that began while they were current, added up by day.

The same measures as those of champions (`operations/measures.py`), of releases of the past and as of the end of the
replay, by names of their own, so that no trigger takes them for what it looks at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from retraining.decide.calendar import Calendar
from retraining.decide.measures import Measure
from retraining.decide.recipes import digest_of
from retraining.execution.orders import Order
from retraining.manifest.values import TimeScheme
from retraining.operations.measured import read_measured
from retraining.operations.measures import NodeMeasures, champions_of, stored_measures
from retraining.operations.measuring import measure_champions
from retraining.operations.replay import states_at
from retraining.operations.run import RunOptions, Watcher
from retraining.operations.session import Session
from retraining.operations.watching import Known
from retraining.store.results import ResultIndex, load_results

__all__ = ["Served", "measure_served"]

Block = tuple[str, int]
"""A node, and one of its blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The measures by day of each block that a release predicted, and the metric of each model that is added up.

    `blocks` are all that could be: complete between begin and end, with labels that are mature at the end.
    `unmeasured` says of which nodes releases could not be asked, and why.
    """

    blocks: frozenset[Block]
    measured: Mapping[Block, tuple[Measure, ...]]
    metrics: Mapping[str, str]
    unmeasured: Mapping[str, str] = field(default_factory=dict)


def measure_served(
    session: Session,
    selected: Collection[str],
    steps: Mapping[int, int],
    end: int,
    options: RunOptions,
    watcher: Watcher,
) -> Served:
    """What releases said of the blocks of selected nodes; `session` is a look as of the `end` that watches everything.

    `steps` are the moments (microseconds UTC, rising) at which the policy was asked, with the number of the log's
    newest entry after each. What is measured already is read. Errors as `run`.
    """
    blocks = _blocks(session, selected, min(steps), end)
    moments = sorted(steps)
    at: dict[int, set[Block]] = {}
    for node, part in blocks:
        begun = bisect_right(moments, _calendar(session, node).start(part)) - 1
        at.setdefault(steps[moments[begun]], set()).add((node, part))
    measured: dict[Block, tuple[Measure, ...]] = {}
    metrics: dict[str, str] = {}
    unmeasured: dict[str, str] = {}
    for sequence, wanted in sorted(at.items()):
        found = _of_release(session, sequence, wanted, options, watcher, unmeasured)
        for node, (metric, by_block) in found.items():
            metrics[session.graph.node(node).model] = metric
            measured |= {(node, part): days for part, days in by_block.items()}
    return Served(blocks=blocks, measured=measured, metrics=metrics, unmeasured=unmeasured)


def _calendar(session: Session, node: str) -> Calendar:
    scheme = session.observation.recipes[node].scheme
    assert isinstance(scheme, TimeScheme)
    return Calendar(session.manifest.timezone, scheme.block_days)


def _blocks(session: Session, selected: Collection[str], begin: int, end: int) -> frozenset[Block]:
    found: set[Block] = set()
    for node in selected:
        calendar = _calendar(session, node)
        for part in session.observation.data[node].labels:
            if begin <= calendar.start(part) and calendar.start(part + 1) <= end:
                found.add((node, part))
    return frozenset(found)


def _of_release(
    session: Session,
    sequence: int,
    wanted: Collection[Block],
    options: RunOptions,
    watcher: Watcher,
    unmeasured: dict[str, str],
) -> dict[str, tuple[str, dict[int, tuple[Measure, ...]]]]:
    """The metric and the measures by block of each node that the release at an entry of the log has."""
    store = session.store
    assert store is not None
    states = states_at(store, sequence)
    parts: dict[str, list[int]] = {}
    for node, part in sorted(wanted):
        state = states.get(node)
        if state is not None and state.version is not None and state.document is not None:
            parts.setdefault(node, []).append(part)
    if not parts:
        return {}
    champions = champions_of(session.observation, states, store, parts)
    base = None if session.head.entry is None else session.head.entry.results
    index = load_results(store.objects, base, store.keys)
    known = stored_measures(session.observation, states, champions, index, {})
    asked = {node: _only(known[node], parts[node], index) for node in parts}
    unmeasured.update({node: one.error for node, one in asked.items() if one.error})
    if any(one.due for one in asked.values()):
        looked = replace(
            session,
            head=replace(session.head, nodes=states),
            known=Known(measures=asked),
            asked=frozenset(asked),
        )
        unmeasured.update(measure_champions(looked, options, watcher))
        index = load_results(store.objects, base, store.keys)
        asked = {node: _only(known[node], parts[node], index) for node in parts}
    return {
        node: (
            one.loss,
            {block.part: block.measures for block in read_measured(store, node, one, profiles=False).since},
        )
        for node, one in asked.items()
        if node not in unmeasured
    }


def _only(known: NodeMeasures, parts: Collection[int], index: ResultIndex) -> NodeMeasures:
    """The measures of some blocks since the champion's cut, in the metric that stands for its loss alone."""
    names = {
        part: digest_of(["served", known.loss, known.order.since[part]])
        for part in parts
        if part in known.order.since
    }
    records = {
        part: record for part, name in names.items() if (record := index.find("score", name)) is not None
    }
    missing = frozenset(names.keys() - records.keys())
    told = [known.column, *(names[part] for part in sorted(missing))]
    order = Order(
        metrics=(known.loss,),
        compared=None,
        reference={},
        judged=frozenset(),
        since=names,
        missing=missing,
        bins=None,
        bins_key=digest_of(["served bins", *told]),
        worth=digest_of(["served worth", *told]),
    )
    return replace(known, order=order, records=records, worth=None, due=bool(missing))
