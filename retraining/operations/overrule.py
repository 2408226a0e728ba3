"""A person against the gate: a challenger that was rejected, or could not be judged, is released all the same.

Its shipped fit was never made, and its readers were never checked with it. So the run that tried it is
carried out again, at the same moment and for the named nodes alone, with the person's word in place of the
gate's: what is stored is reused, champions below are checked, and it is released whole or not at all.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from retraining.decide.changes import changes_between
from retraining.decide.facts import shipped_left_out
from retraining.errors import InputError, NotFoundError
from retraining.learn.permitted import permitted
from retraining.operations.outcome import RunOutcome
from retraining.operations.people import word_of
from retraining.operations.promote import Promoted
from retraining.operations.run import RunOptions, Watcher, carry_out
from retraining.operations.session import Request, Session, open_session
from retraining.release.values import Attempt, NodeState
from retraining.store.log import Head, Store
from retraining.store.packs import read_document
from retraining.store.runs import run_key

__all__ = ["overrule"]


def overrule(
    manifest: Path,
    head: Head,
    store: Store,
    url: str,
    nodes: Collection[str],
    because: str,
    *,
    data: Mapping[str, str],
    options: RunOptions,
) -> Promoted:
    """Releases the last challengers of the named nodes against the gate's verdict.

    Raises InputError where there is no such challenger, where it cannot be made again from today's files, or
    where it would be served beside what it was not checked with; ReleaseConflictError as a run does.
    """
    word = word_of(because)
    request = Request(
        manifest=manifest,
        store=url,
        as_of=_moment(store, head.nodes, nodes),
        data=data,
        permissions=permitted(options.allow, joblib=options.allow_joblib),
        promote=dict.fromkeys(sorted(nodes), f"{word.who}: {word.because}"),
    )
    session = open_session(request, dt.datetime.now(dt.UTC), create_store=False)
    assert session.store is not None
    for name in sorted(nodes):
        _refuse_changed(session, name, nodes)
    return _told(carry_out(session, session.store, options, Watcher(), time.time()))


def _moment(store: Store, states: Mapping[str, NodeState], nodes: Collection[str]) -> str:
    """The moment at which the challengers were tried, the newest of several."""
    return max(_tried_at(store, _attempt(states, name)) for name in nodes)


def _attempt(states: Mapping[str, NodeState], name: str) -> Attempt:
    attempt = states[name].attempt
    if attempt is None:
        raise InputError(f"{name} was never tried: there is nothing to promote", "let `retrain run` train it")
    if attempt.outcome == "failed":
        raise InputError(
            f"the last attempt on {name} failed ({attempt.because}): there is nothing to promote",
            "mend what failed and run again",
        )
    return attempt


def _tried_at(store: Store, attempt: Attempt) -> str:
    if attempt.document is not None:
        told = read_document(store.objects, attempt.document).get("as_of")
        if isinstance(told, str):
            return told
    try:
        return str(store.read_json(run_key(attempt.run))["as_of"])
    except (NotFoundError, KeyError):
        return attempt.time


def _refuse_changed(session: Session, name: str, nodes: Collection[str]) -> None:
    """InputError where what would be released is not what was tried."""
    state = session.head.nodes.get(name)
    if name not in session.graph or state is None:
        raise InputError(f"{name} left the manifest or the data", "what left them cannot be made again")
    if state.pin is not None:
        raise InputError(f"{name} is pinned", f"let it go on first: `retrain unpin {name}`")
    attempt = _attempt(session.head.nodes, name)
    if attempt.outcome == "promoted" and not session.graph.ancestors([name]) & set(nodes):
        raise InputError(
            f"the last challenger of {name} is released already: there is nothing to promote",
            "`retrain status` shows the last attempts",
        )
    facts = session.facts[name]
    change = changes_between(
        attempt.parts,
        facts.recipe,
        facts.data,
        shipped_left_out(facts.recipe, facts.data),
        environment=session.environment,
        baseline_definition=facts.baseline.definition if facts.baseline else None,
        baseline_data=facts.baseline.data if facts.baseline else None,
        upstreams=(),
    )
    if change.any:
        raise InputError(
            f"{name} cannot be made again as it was tried on {attempt.time[:10]}: {change.summary()}",
            "run again: a new challenger is made and judged",
        )


def _told(outcome: RunOutcome) -> Promoted:
    before, after = outcome.before.nodes, outcome.after.nodes
    promoted = [name for name, (what, _) in outcome.outcomes.items() if what == "promoted"]
    return Promoted(
        before=outcome.before.release,
        release=outcome.after.release,
        nodes=tuple(after[name] for name in sorted(promoted)),
        rewired=tuple(
            name
            for name, row in after.items()
            if name not in promoted and name in before and dict(row.wiring) != dict(before[name].wiring)
        ),
        pending=(),
    )
