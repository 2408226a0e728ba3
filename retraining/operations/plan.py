"""The plan of a manifest as it stands: every decision with all its reasons, and nothing done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from retraining.decide.plan import Plan
from retraining.learn.permitted import permitted
from retraining.manifest.given import given_data, given_moment, given_path, given_text, given_texts
from retraining.operations.session import Request, open_plan


def plan(
    manifest: str | Path,
    *,
    store: str | None = None,
    as_of: str | dt.date | None = None,
    select: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    force: tuple[str, ...] = (),
    data: Mapping[str, str] | None = None,
    allow: tuple[str, ...] = (),
) -> Plan:
    """The decisions that `run` with the same arguments would carry out; a store is read where there is one.

    `allow` names the packages that the manifest's own estimators and metrics may come from, besides those of
    RETRAINING_ALLOW; nothing is imported here.

    Raises `InputError` for the manifest, the arguments and the data, `StoreError` for the store.
    """
    request = Request(
        manifest=given_path(manifest, "the manifest"),
        store=None if store is None else given_text(store, "the store"),
        select=given_texts(select, "select"),
        exclude=given_texts(exclude, "exclude"),
        force=given_texts(force, "force"),
        as_of=given_moment(as_of, "as_of"),
        data=given_data(data),
        permissions=permitted(allow),
    )
    return open_plan(request, dt.datetime.now(dt.UTC), create_store=False).plan
