"""One policy replayed in time order in a store of its own, and what its runs needed.

A replay goes on where it was stopped: beside the store stands which moments were looked at, and at which entry of
the log each of them ended. Results of other policies' stores are taken over first, since equal fits have equal
fingerprints; so the cost of a policy is counted by what its challengers needed, not by what was made for it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from retraining.decide.calendar import Calendar
from retraining.decide.recipes import recipe_from_json
from retraining.errors import InputError, InterruptedRunError, NotFoundError
from retraining.execution.tasks import FitKind
from retraining.manifest.values import Json, Manifest, TimeScheme
from retraining.operations.run import RunOptions, Watcher, run_request
from retraining.operations.session import Request
from retraining.release.values import NodeState
from retraining.reporting.backtest_text import Cost
from retraining.reporting.text import join_words
from retraining.store.log import Store, open_store
from retraining.store.packs import read_documents
from retraining.store.runs import outcome_key

__all__ = [
    "Policy",
    "cost_of",
    "looked_at",
    "read_note",
    "replay",
    "seconds_of_fits",
    "states_at",
    "take_over",
    "write_note",
]

_SHARED = ("packs", "results")
Fit = tuple[str, str]
"""A node, and the name of what the fit left out as a run's record has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A name, the rule that every model has (None: its own), and the folder of the store in which it is replayed."""

    name: str
    rule: str | None
    folder: Path

    @property
    def steps_file(self) -> Path:
        """Which moments were looked at, beside the store."""
        return self.folder.with_name(f"{self.name}.steps.json")


def take_over(policy: Policy, others: Collection[Policy]) -> None:
    """Makes the policy's store, and gives it the results of others: as links, or as copies where there are none."""
    open_store(str(policy.folder), create=True)
    for other in others:
        for kind in _SHARED:
            for source in sorted((other.folder / kind).rglob("*")):
                target = policy.folder / source.relative_to(other.folder)
                if source.is_file() and not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    try:
                        os.link(source, target)
                    except OSError:
                        shutil.copy2(source, target)


def looked_at(policy: Policy) -> dict[str, int]:
    """The number of the log's newest entry after each moment (ISO, UTC) that was looked at, in their order."""
    document = read_note(policy.steps_file)
    return {} if document is None else {str(step): int(sequence) for step, sequence in document["steps"]}


def read_note(file: Path) -> dict[str, Any] | None:
    """What `write_note` wrote; None where there is no file, `InputError` where it is none."""
    try:
        document: dict[str, Any] = json.loads(file.read_text())
        if document["format"] == 1:
            return document
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise InputError(f"{file} cannot be read as the note of a backtest", "give a new folder as --store")


def write_note(file: Path, document: Mapping[str, Json]) -> None:
    """Writes a document with `format: 1`, as a whole or not at all; `InputError` where that cannot be done."""
    part = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({"format": 1, **document}, indent=1))
        part.replace(file)
    except OSError as error:
        raise InputError(
            f"{file} cannot be written: {error.strerror or error}",
            "give a folder that can be written as --store",
        ) from error


def replay(
    policy: Policy,
    request: Request,
    steps: Sequence[str],
    options: RunOptions,
    watcher: Watcher,
    shown: Callable[[str], str],
) -> None:
    """Looks at the world as of each step that was not looked at yet, and acts; errors as `run`."""
    done = looked_at(policy)
    for number, step in enumerate(steps, start=1):
        if step in done:
            continue
        if watcher.stop_asked():
            raise InterruptedRunError("stopped between two steps")
        asked = replace(request, store=str(policy.folder), as_of=step, retrain_when=policy.rule)
        _, outcome = run_request(asked, options, watcher)
        done[step] = outcome.after.sequence
        write_note(policy.steps_file, {"steps": [[*item] for item in done.items()]})
        words = [f"{count} {word}" for word, count in outcome.counts.items() if word != "kept"]
        told = join_words(words) if words else "nothing to do"
        watcher.said(f"{policy.name} {number}/{len(steps)}, {shown(step)}: {told}")


def states_at(store: Store, sequence: int) -> Mapping[str, NodeState]:
    """The nodes as an entry of the log left them; none before the first."""
    return store.read_head_at(store.read_entry(sequence) if sequence else None).nodes


def cost_of(policy: Policy, manifest: Manifest, through: int, seconds: Mapping[Fit, float]) -> Cost:
    """What the runs up to entry `through` of the policy's log did, and the fits that their challengers needed.

    `seconds` are those of fits (`seconds_of_fits`), in whichever policy's store they were made.
    """
    store = open_store(str(policy.folder))
    outcomes: dict[str, int] = {}
    needed: dict[str, float] = {}
    runs = 0
    for sequence in range(1, through + 1):
        entry = store.read_entry(sequence)
        attempts = {
            node: state.attempt
            for node, state in store.read_head_at(entry).nodes.items()
            if state.attempt is not None and entry.run and state.attempt.run == entry.run
        }
        runs += bool(attempts)
        for attempt in attempts.values():
            outcomes[attempt.outcome] = outcomes.get(attempt.outcome, 0) + 1
        pointers = {one.document: node for node, one in attempts.items() if one.document is not None}
        for pointer, document in read_documents(store.objects, pointers):
            node = pointers[pointer]
            for left_out, fit in document["fits"].items():
                took = seconds.get((node, _fit_name(manifest, document, left_out)), 0.0)
                # nodes that share a fit have it made once
                needed[fit["fingerprint"]] = max(needed.get(fit["fingerprint"], 0.0), took)
    return Cost(
        policy=policy.name,
        rule=policy.rule,
        runs=runs,
        fits=len(needed),
        seconds=sum(needed.values()),
        outcomes=dict(sorted(outcomes.items())),
    )


def seconds_of_fits(policies: Collection[Policy]) -> dict[Fit, float]:
    """How long each fit took where it was made, from the records of all runs of all policies.

    A fit that was only asked for predictions later took less then: the longest time counts.
    """
    found: dict[Fit, float] = {}
    for policy in policies:
        for ran in _timeline(open_store(str(policy.folder))):
            if ran["kind"] in get_args(FitKind) and ran["error"] is None:
                fit = (ran["node"], ran["fit"])
                found[fit] = max(found.get(fit, 0.0), ran["end"] - ran["start"])
    return found


def _timeline(store: Store) -> Iterator[Mapping[str, Any]]:
    for run in store.runs():
        try:
            document: Mapping[str, Any] = store.read_json(outcome_key(run))
        except NotFoundError:
            continue  # it was stopped, or only measured
        yield from document["timeline"]


def _fit_name(manifest: Manifest, document: Mapping[str, Any], left_out: str) -> str:
    """A fit's name as `record.fit_name` has it."""
    scheme = recipe_from_json(document["recipe"]).scheme
    if not left_out.startswith("<") or not isinstance(scheme, TimeScheme):
        return left_out
    day = Calendar(manifest.timezone, scheme.block_days).date(int(left_out[1:]))
    return f"< {day.isoformat()}"
