"""Reading a run record (format 1) into a `RunView`: whatever is missing or of another shape is left out.

A report is asked for when something went wrong, so a record cut short by a crash must still be readable:
nothing in here raises but for a record of another format.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace

from retraining.errors import RetrainingError, SelectionError
from retraining.graph.nodes import is_pool, parse_node_name
from retraining.manifest.values import Json
from retraining.reporting.drift_view import read_drift
from retraining.reporting.outcomes import order_of_outcome, tally
from retraining.reporting.parts import Part
from retraining.reporting.text import format_number
from retraining.reporting.tracks import read_track
from retraining.reporting.view import (
    Bar,
    CheckView,
    Difference,
    EdgeView,
    InputView,
    LeafView,
    NodeView,
    PairView,
    Period,
    PoolView,
    Reason,
    RunView,
    SkewView,
    Skipped,
    SliceView,
    VerdictView,
    is_loss,
)

__all__ = ["partition_label", "read_record"]


def read_record(record: Mapping[str, Json]) -> RunView:
    """The view of a run record; missing parts are empty.

    Raises
    ------
    RetrainingError
        If the record says that it has another format than 1.
    """
    version = record.get("format", 1)
    if version != 1:
        raise RetrainingError(
            f"the run record has format {version!r}, this version of retraining reads format 1",
            "use the version of retraining that wrote the run",
        )
    part = Part(record)
    nodes = _by_model(_node(item) for item in part.parts("nodes"))
    manifest, release, fits = part.part("manifest"), part.part("release"), part.part("fits")
    return RunView(
        run=part.text("run"),
        manifest=manifest.text("name"),
        manifest_file=manifest.text("file"),
        manifest_digest=manifest.text("digest"),
        store=part.text("store"),
        backend=part.text("backend"),
        slots=part.count("slots"),
        started=part.text("started"),
        ended=part.text("ended"),
        as_of=part.text("as_of"),
        timezone=manifest.text("timezone") or "UTC",
        release_before=release.text("before"),
        release_after=release.text("after"),
        release_sequence=release.text("sequence"),
        exit_code=part.count("exit_code"),
        counts=_counts(part, nodes),
        fits_made=_or_sum(fits.count("made"), (node.fits_made for node in nodes)),
        fits_reused=_or_sum(fits.count("reused"), (node.fits_reused for node in nodes)),
        comparisons=fits.count("comparisons") or 0,
        total_seconds=_total_seconds(part),
        training_seconds=part.part("seconds").number("training"),
        nodes=nodes,
        leaves=tuple(_leaf(one) for one in part.part("set").parts("leaves")),
        pools=tuple(_pool(item) for item in part.parts("pools")),
        timeline=_timeline(part),
        skipped=tuple(
            Skipped(
                model=item.text("model"),
                partition=item.text("partition"),
                rows=item.count("rows"),
                why=item.text("why"),
            )
            for item in part.parts("skipped_partitions")
        ),
        drift=read_drift(part),
    )


def _or_sum(value: int | None, parts: Iterable[int]) -> int:
    return value if value is not None else sum(parts)


def _counts(part: Part, nodes: tuple[NodeView, ...]) -> tuple[tuple[str, int], ...]:
    if nodes:
        return tally(node.outcome for node in nodes)
    counts = ((word, int(number)) for word, number in part.numbers("counts").items() if number >= 1)
    return tuple(sorted(counts, key=lambda item: order_of_outcome(item[0])))


def _total_seconds(part: Part) -> float | None:
    total = part.part("seconds").number("total")
    if total is not None:
        return total
    try:
        started, ended = (dt.datetime.fromisoformat(part.text(key)) for key in ("started", "ended"))
        return (ended - started).total_seconds()
    except (ValueError, TypeError):
        return None


def _timeline(part: Part) -> tuple[Bar, ...]:
    bars = []
    for item in part.parts("timeline"):
        start, end = item.number("start"), item.number("end")
        if start is None or end is None or start < 0 or end < start:
            continue
        bars.append(
            Bar(
                node=item.text("node"),
                fit=item.text("fit"),
                kind=item.text("kind"),
                worker=item.text("worker"),
                start=start,
                end=end,
                error=item.text("error"),
            )
        )
    return tuple(sorted(bars, key=lambda bar: (bar.worker, bar.start, bar.end, bar.node, bar.fit)))


def partition_label(node: str, model: str) -> str:
    """The partition values of a node's name (`EWR`, `US / 9E`), "*" for a pool, "" for a model without partitions."""
    if is_pool(node):
        return "*"
    try:
        named, values = parse_node_name(node)
    except SelectionError:
        named, values = node, ()
    if values:
        return " / ".join(value for _, value in values)
    return "" if named == model else node


def _by_model(nodes: Iterable[NodeView]) -> tuple[NodeView, ...]:
    """The nodes numbered in reading order: models by level and name, partitions together by name."""
    found = list(nodes)
    level: dict[str, int] = {}
    for node in found:
        level[node.model] = max(node.level, level.get(node.model, 0))
    found.sort(key=lambda node: (level[node.model], node.model, node.name))
    return tuple(replace(node, place=place) for place, node in enumerate(found))


def _node(item: Part) -> NodeView:
    name = item.text("node")
    model = item.text("model") or name.partition("[")[0]
    decision, fits = item.part("decision"), item.part("fits")
    verdict = item.part("verdict")
    return NodeView(
        place=0,
        name=name,
        model=model,
        label=partition_label(name, model),
        description=item.text("description"),
        owner=item.text("owner"),
        tags=item.texts("tags"),
        level=item.count("level") or 0,
        task=item.text("task"),
        estimator=item.text("estimator"),
        upstreams=item.texts("upstreams"),
        inputs=tuple(
            InputView(
                column=one.text("column"), upstreams=one.texts("upstreams"), coverage=one.number("coverage")
            )
            for one in item.parts("inputs")
        ),
        action=decision.text("action"),
        conditional=decision.flag("conditional") or False,
        reasons=tuple(
            Reason(kind=one.text("kind"), text=one.text("text")) for one in decision.parts("reasons")
        ),
        note=decision.text("note"),
        outcome=item.text("outcome") or "unknown",
        because=item.text("because"),
        version=item.text("version"),
        previous=item.text("previous"),
        verdict=_verdict(verdict) if verdict.raw else None,
        edges=tuple(_edge(name, model, one) for one in item.parts("edges")),
        pairs=tuple(_pair(name, one) for one in (*item.parts("checks"), item.part("pair")) if one.raw),
        skew=tuple(_skew(one) for one in item.parts("skew")),
        fits_made=fits.count("made") or 0,
        fits_reused=fits.count("reused") or 0,
        fit_seconds=fits.number("seconds") or 0.0,
        rows={key: int(value) for key, value in item.numbers("rows").items()},
        cut=item.text("cut"),
        first_predicted=item.text("first_predicted"),
        error=_error(item),
        track=read_track(item.part("performance")),
    )


def _error(item: Part) -> str:
    error = item.part("error")
    if not error.raw:
        return item.text("error")
    head = ": ".join(filter(None, [error.text("type"), error.text("message") or error.text("text")]))
    return "\n".join(filter(None, [head, error.text("traceback")]))


def _verdict(part: Part) -> VerdictView:
    metric = part.text("metric")
    champion = part.numbers("champion")
    return VerdictView(
        word=part.text("verdict"),
        because=part.text("because"),
        comparison=part.text("comparison"),
        metric=metric,
        holdout=_period(part.part("holdout")),
        challenger=part.numbers("challenger"),
        champion=champion,
        dummy=part.numbers("dummy"),
        difference=_difference(part.part("difference"), metric, champion.get(metric)),
        limits=tuple(_check(item) for item in part.parts("limits")),
        checks=tuple(_check(item) for item in part.parts("checks")),
        notes=part.texts("notes"),
        slices=tuple(_slice(item) for item in part.parts("slices")),
        pooled=_pool(part.part("pooled")) if part.part("pooled").raw else None,
    )


def _pool(part: Part) -> PoolView:
    return PoolView(model=part.text("model"), nodes=part.count("nodes") or 0, verdict=_verdict(part))


def _slice(part: Part) -> SliceView:
    return SliceView(
        name=f"{part.text('column')}={part.text('value') or '(missing)'}",
        rows=part.count("rows") or 0,
        clusters=part.count("clusters") or 0,
        challenger=part.number("challenger"),
        champion=part.number("champion"),
        difference=part.number("difference"),
        lower=part.number("lower"),
        upper=part.number("upper"),
        margin=part.number("margin"),
        adjusted=part.number("adjusted"),
        harmed=part.flag("harmed") or False,
    )


def _check(part: Part) -> CheckView:
    bounds = [("at least", part.number("min")), ("at most", part.number("max"))]
    allowed = " and ".join(f"{word} {format_number(bound)}" for word, bound in bounds if bound is not None)
    return CheckView(
        name=part.text("name") or part.text("metric"),
        value=part.number("value"),
        limit=part.number("limit"),
        passed=part.flag("passed"),
        note=part.text("note") or (f"{allowed} is allowed" if allowed else ""),
        blocking=part.flag("blocking") is not False,
    )


def _period(part: Part) -> Period:
    return Period(
        start=part.text("from"),
        end=part.text("to"),
        rows=part.count("rows"),
        clusters=part.count("clusters"),
        blocks=part.count("blocks"),
    )


def _difference(part: Part, metric: str, reference: float | None, key: str = "value") -> Difference | None:
    value = part.number(key)
    if value is None:
        return None
    in_percent = is_loss(metric) and reference is not None and reference > 0
    return Difference(
        value=value,
        lower=part.number("lower"),
        upper=part.number("upper"),
        margin=part.number("margin"),
        kind=part.text("kind"),
        reference=reference if in_percent else None,
    )


def _edge(node: str, model: str, part: Part) -> EdgeView:
    metric = part.text("metric")
    return EdgeView(
        node=node,
        model=model,
        column=part.text("column"),
        metric=metric,
        with_column=part.number("with"),
        without_column=part.number("without"),
        difference=_difference(part, metric, part.number("without"), key="difference"),
        period=_period(part),
    )


def _pair(node: str, part: Part) -> PairView:
    difference = part.part("difference")
    metric = difference.text("metric")
    before = part.part("before").number(metric)
    return PairView(
        node=node,
        upstreams=tuple(part.part("columns").raw),
        new=part.texts("new"),
        passed=part.flag("passed") or False,
        because=part.text("because"),
        metric=metric,
        before=before,
        after=part.part("after").number(metric),
        difference=_difference(difference, metric, before),
        period=_period(part.part("holdout")),
        run=part.text("run"),
        time=part.text("time"),
        together=part.part("pool").count("nodes") or 0,
    )


def _skew(part: Part) -> SkewView:
    return SkewView(
        column=part.text("column"),
        psi=part.number("psi"),
        limit=part.number("limit"),
        passed=part.flag("passed") is not False,
        blocking=part.flag("blocking") or False,
        note=part.text("note"),
    )


def _leaf(part: Part) -> LeafView:
    metric, before = part.text("metric"), part.number("before")
    return LeafView(
        node=part.text("node"),
        by=part.text("by"),
        comparison=part.text("comparison"),
        metric=metric,
        before=before,
        after=part.number("after"),
        difference=_difference(part.part("difference"), metric, before),
        period=_period(part.part("holdout")),
        because=part.text("because"),
    )
