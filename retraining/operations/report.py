"""The record of one run, and the page that is made of it."""

from __future__ import annotations

from retraining.errors import InputError, NotFoundError
from retraining.manifest.values import Json
from retraining.store.log import Store
from retraining.store.runs import outcome_key

__all__ = ["read_run", "render_run"]

_LISTED = 8


def read_run(store: Store, run: str | None) -> dict[str, Json]:
    """The record (format 1) of a run by its name or the beginning of it; None: the newest that ended.

    Raises InputError where no run, or more than one, is meant, or where it ended without a record.
    """
    names = [name for name in store.runs() if run is None or name.startswith(run)]
    if not names:
        have = ", ".join(store.runs()[:_LISTED])
        raise InputError(
            f"no run begins with {run!r}" if run else "the store has no run yet",
            f"the newest runs are {have}" if have else "make one with `retrain run`",
        )
    if run is not None and run not in names and len(names) > 1:
        raise InputError(
            f"{len(names)} runs begin with {run!r}: {', '.join(names[:_LISTED])}", "write more of its name"
        )
    for name in names:
        try:
            return store.read_json(outcome_key(name))
        except NotFoundError:
            if run is not None:
                raise InputError(
                    f"run {name} was stopped before its end and left no record",
                    "run again: it continues with what is missing",
                ) from None
    raise InputError("no run has ended yet", "run again: it continues with what is missing")


def render_run(record: dict[str, Json]) -> str:
    """The page of a run record as one HTML document."""
    from retraining.reporting.page import render_report

    return render_report(record)
