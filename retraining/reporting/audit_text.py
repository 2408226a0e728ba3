"""An audit for people: what was proven, or what leaks and what cannot be told."""

from __future__ import annotations

from collections.abc import Sequence

from retraining.decide.findings import Audit, Gap, Violation
from retraining.manifest.values import Json
from retraining.reporting.paint import Paint, plain
from retraining.reporting.text import format_moment, join_words, plural

__all__ = ["audit_json", "audit_text"]

#: How many findings of one kind at one edge are shown; the document has all.
_SHOWN = 3


def audit_json(found: Audit, *, release: int, released: str, store: str) -> dict[str, Json]:
    """The audit as a document."""
    return {
        "store": store,
        "release": release,
        "released": released,
        "proven": found.proven,
        "checked": {
            "nodes": found.nodes,
            "versions": found.versions,
            "fits": found.fits,
            "edges": found.edges,
            "cells": found.cells,
            "predictions": found.predictions,
            "rows": found.rows,
        },
        "violations": [one.to_json() for one in found.violations],
        "unproven": [one.to_json() for one in found.gaps],
    }


def audit_text(
    found: Audit, *, release: int, released: str, timezone: str = "UTC", paint: Paint = plain
) -> str:
    """The audit as lines: the verdict, what was checked, then every finding with what to do."""
    lines = [_verdict(found, release, format_moment(released, timezone), paint)]
    if found.versions:
        lines += _checked(found)
    if found.violations:
        lines += ["", *_violations(found.violations, paint)]
    if found.gaps:
        lines += ["", *_gaps(found.gaps, paint)]
    return "\n".join(lines) + "\n"


def _verdict(found: Audit, release: int, when: str, paint: Paint) -> str:
    name = f"release {release} of {when}"
    if found.violations:
        return paint("bad", f"{name} LEAKS: {plural(len(found.violations), 'violation')}")
    if found.gaps:
        return paint("look", f"{name} cannot be proven: records are missing")
    return paint("good", f"{name} is proven free of leaks")


def _checked(found: Audit) -> list[str]:
    many = "blocks or folds"
    lines = [
        f"  released   {plural(found.nodes, 'node')}, {plural(found.versions, 'version')} with what stands behind them",
        f"  fits       {found.fits:,} on {plural(found.rows, 'training row')}",
        f"  edges      {found.edges:,} by which {plural(found.cells, 'block or fold', many)} were fed",
        f"  predicted  {plural(found.predictions, 'block or fold', many)} that were judged or handed down",
    ]
    if found.proven:
        lines += [
            "  labels     no row was fed by a fit that had seen its label or a later one,",
            "             over any number of edges",
            "  time       no row was fed by a prediction that did not exist when the row",
            "             was decided",
        ]
    return lines


def _violations(violations: Sequence[Violation], paint: Paint) -> list[str]:
    lines = []
    groups: dict[tuple[str, str, str | None, str | None], list[Violation]] = {}
    for one in violations:
        groups.setdefault((one.leak, one.node, one.column, one.upstream), []).append(one)
    for (leak, node, column, upstream), found in groups.items():
        edge = f" <- {upstream} (as {column})" if column is not None else ""
        lines.append(paint("bad", f"{leak} leak: {node}{edge}, {plural(len(found), 'cell')}"))
        for one in found[:_SHOWN]:
            who = f"learnt by {one.fit}" if one.fit else "only predicted from"
            lines += [f"  {one.cell}, {who}:", f"    {one.text}"]
        if len(found) > _SHOWN:
            lines.append(f"  and {len(found) - _SHOWN:,} more (--format json has all)")
    lines.append(
        "  A model of this release learnt from what it could not know: do not trust its scores. `retrain"
    )
    lines.append("  run --force NODE` makes it anew; if the audit still fails after it, please report it.")
    return lines


def _gaps(gaps: Sequence[Gap], paint: Paint) -> list[str]:
    lines = []
    by_text: dict[str, list[Gap]] = {}
    for gap in gaps:
        by_text.setdefault(gap.text, []).append(gap)
    for text, found in by_text.items():
        nodes = dict.fromkeys(gap.node for gap in found)
        lines.append(paint("look", f"cannot prove {plural(len(nodes), 'node')}:") + f" {text}")
        lines.append(f"  {join_words(list(nodes), _SHOWN)}")
    lines.append("  `retrain run --force NODE` makes these versions anew, with their records.")
    return lines
