"""Drift now: measures what is missing, tests all columns in one scan, and says what it means. Decides nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from retraining.decide.advice import Scan, advise
from retraining.decide.drift import LEAST_DAYS, Finding, ranked
from retraining.decide.watched import WINDOW_DAYS
from retraining.errors import InputError, NotFoundError
from retraining.learn.permitted import permitted
from retraining.manifest.durations import parse_days
from retraining.manifest.values import TimeScheme
from retraining.operations.measuring import measure_champions
from retraining.operations.run import RunOptions, Watcher
from retraining.operations.session import Request, Session, open_session

__all__ = ["Drifting", "find_drift"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifting:
    """What a scan of a manifest's release found; `timezone` is the manifest's."""

    scan: Scan
    timezone: str


def find_drift(
    manifest: str | Path,
    *,
    store: str | None = None,
    as_of: str | None = None,
    select: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    data: Mapping[str, str] | None = None,
    window: str | None = None,
    options: RunOptions | None = None,
    watcher: Watcher | None = None,
) -> Drifting:
    """What drifts of the selected nodes and of all above them, on the newest days of `window` (default two weeks).

    Whatever is not measured yet is measured, and kept in the store. Errors as `run`; `NotFoundError` where nothing is
    released.
    """
    options, watcher = options or RunOptions(), watcher or Watcher()
    length = WINDOW_DAYS if window is None else _days(window)
    session = open_session(
        Request(
            manifest=Path(manifest),
            store=store,
            select=select,
            exclude=exclude,
            as_of=as_of,
            data=data or {},
            permissions=permitted(options.allow, joblib=options.allow_joblib),
            watch=length,
        ),
        dt.datetime.now(dt.UTC),
        create_store=False,
        measure=lambda session: measure_champions(session, options, watcher),
    )
    if session.head.release is None:
        raise NotFoundError(f"{session.store_url}: nothing is released yet", "`retrain run` makes a release")
    findings = ranked(_asked(session))
    return Drifting(
        scan=Scan(
            release=session.head.release,
            as_of=session.plan.as_of,
            nodes=len(session.asked),
            length=length,
            findings=findings,
            advice=advise(findings, session.graph),
            unmeasured=_unmeasured(session),
        ),
        timezone=session.manifest.timezone,
    )


def _days(window: str) -> int:
    found = parse_days(window)
    if found is None or found.days < LEAST_DAYS:
        raise InputError(
            f"--window {window!r} is no number of days or weeks of at least {LEAST_DAYS} days",
            "write it like 14d or 4w",
        )
    return found.days


def _asked(session: Session) -> list[Finding]:
    """What was found of the nodes that were asked for."""
    found = [
        one
        for node, drift in session.known.drift.items()
        if node in session.asked
        for several in drift.values()
        for one in several
    ]
    return [one for one in found if not session.asked.isdisjoint(one.nodes)]


def _unmeasured(session: Session) -> dict[str, str]:
    """Of which nodes nothing, or not all, is known, and why."""
    known = session.known
    out: dict[str, str] = {}
    for node in session.graph.nodes:
        name, state = node.name, session.head.nodes.get(node.name)
        if name not in session.asked:
            continue
        scheme = session.manifest.schemes[session.manifest.models[node.model].dataset]
        errors = [
            one.error for one in (known.measures.get(name), known.inputs.get(name)) if one and one.error
        ]
        if state is None or state.version is None:
            out[name] = "never released"
        elif not isinstance(scheme, TimeScheme):
            out[name] = "the fold scheme has no days to compare"
        elif errors:
            out[name] = errors[0]
        elif name not in known.measures:
            out[name] = "what its champion learnt from left the data"
    return out
