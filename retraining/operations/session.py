"""One look at everything: the manifest, the store's head, the data, and the plan that follows from them.

Read once at the start of `plan` and `run`; everything after is a function of these values.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retraining.decide.calendar import micros, moment
from retraining.decide.facts import Facts
from retraining.decide.plan import MOST_FITS, Plan, make_plan
from retraining.decide.triggers import is_timed, next_moment
from retraining.decide.watched import WINDOW_DAYS
from retraining.errors import InputError, NotFoundError
from retraining.execution.orders import InputOrder, Order
from retraining.graph.graph import Graph
from retraining.graph.selection import resolve_selection
from retraining.learn.environment import environment_digest
from retraining.learn.permitted import permitted
from retraining.manifest import load_manifest
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.manifest.values import Manifest
from retraining.operations.arguments import parse_moment, store_url
from retraining.operations.belonging import check_belongs
from retraining.operations.code import check_callables, source_digests
from retraining.operations.facts import node_facts
from retraining.operations.files import DatasetFiles, find_dataset_files
from retraining.operations.labels import NO_FEEDBACK, PinnedFeedback
from retraining.operations.measures import measure_notes
from retraining.operations.observe import Observation, leave_hint, observe
from retraining.operations.partitions import Skipped
from retraining.operations.remembered import Inputs, recall, remember
from retraining.operations.selecting import selection_states
from retraining.operations.watching import Known, profiled_nodes, watch_everything, what_is_known
from retraining.release.values import BlobPointer
from retraining.store import packs
from retraining.store.feedback import newest_batch
from retraining.store.log import Head, LogEntry, Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for. Times are aware; `data` maps dataset names to paths (`--data`).

    Of the nodes of `compare` it is asked what each input brings. `permissions` None: nothing will be trained, so
    code that the manifest names need not be allowed. `max_fits` is how many fits a run may need (None:
    `decide.plan.MOST_FITS`). `promote` are the nodes whose challengers a person releases, each with the person's
    words; no other node is trained then. `through` is the moment up to which instants of schedules are known, where
    that is not the plan's own (`decide.signals`). `existing`: a store that is not there is an error, and not made.
    `watch` looks for drift everywhere, in so many days, and decides nothing. `retrain_when` is a rule that every model
    has instead of its own (`load_manifest`).
    """

    manifest: Path
    store: str | None = None
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    force: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    as_of: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    permissions: Permissions | None = None
    max_fits: int | None = None
    promote: Mapping[str, str] = field(default_factory=dict)
    through: int | None = None
    existing: bool = False
    watch: int | None = None
    retrain_when: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a run knows when it starts; `known` is what the store has of what conditions look at.

    Of the nodes `asked` what is missing of that is measured: those that are selected, and what their conditions need.
    """

    manifest: Manifest
    store_url: str
    store: Store | None
    head: Head
    observation: Observation
    facts: Mapping[str, Facts]
    plan: Plan
    environment: str
    permissions: Permissions = NOTHING
    promoted: Mapping[str, str] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    asked: frozenset[str] = frozenset()

    @property
    def orders(self) -> dict[str, Order]:
        """What is to be measured of champions before the triggers of selected nodes can be told all."""
        return {
            node: one.order for node, one in self.known.measures.items() if one.due and node in self.asked
        }

    @property
    def profiled(self) -> dict[str, InputOrder]:
        """What is to be counted of the inputs of champions, as `orders`."""
        return {node: one.order for node, one in self.known.inputs.items() if one.due and node in self.asked}

    @property
    def next_moment(self) -> int | None:
        """The first moment (microseconds UTC) at which time alone makes a trigger say something else; None: none."""
        moments = (next_moment(facts.rule, facts.signals) for facts in self.facts.values())
        return min((one for one in moments if one is not None), default=None)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The partitions that are no nodes."""
        return self.observation.skipped

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth saying of the manifest, its data, and champions that are not measured."""
        return (*self.observation.notes, *measure_notes(self.known.measures, self.known.inputs))

    @property
    def graph(self) -> Graph:
        """All nodes and edges."""
        return self.observation.graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Quiet:
    """What a run knows where nothing is to be done and that was remembered: no data was read.

    The head's nodes are read when somebody asks for them. `next_moment` (microseconds UTC) is as that of a `Session`.
    """

    manifest: Manifest
    store_url: str
    store: Store
    head: Head
    plan: Plan
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]
    next_moment: int | None
    graph: Graph = field(default_factory=lambda: Graph(nodes=(), edges=()))


def open_session(
    request: Request,
    now: dt.datetime,
    *,
    create_store: bool,
    measure: Callable[[Session], Mapping[str, str]] | None = None,
) -> Session:
    """Reads the manifest, the head of the log and the data, and makes the plan.

    `now` is the moment of the run where the request names no `as_of`. A store that does not exist
    is read as empty, and made where `create_store` says so once the input is found to be right.
    `measure` as in `open_plan`.
    """
    begun = _begin(request, now)
    session = _session(begun, request, create_store)
    return _with_measures(session, begun, request, create_store, measure)


def _with_measures(
    session: Session,
    begun: _Begun,
    request: Request,
    create_store: bool,
    measure: Callable[[Session], Mapping[str, str]] | None,
) -> Session:
    if measure is None or not (session.orders or session.profiled):
        return session
    return _session(begun, request, create_store, session, measure(session))


def open_plan(
    request: Request,
    now: dt.datetime,
    *,
    create_store: bool,
    measure: Callable[[Session], Mapping[str, str]] | None = None,
) -> Session | Quiet:
    """As `open_session`; where the plan of these very inputs is remembered, that and no more.

    `measure` measures champions where triggers have to know more than the store does (`Session.orders`), and says
    of which nodes that could not be done, and why; None: nothing is measured.
    Whoever asks for nodes that are kept (their rows, their facts) needs a session.
    """
    begun = _begin(request, now)
    inputs = _inputs(begun, request)
    if begun.store is not None and inputs is not None:
        found = recall(begun.store, begun.manifest, inputs, _as_of_text(begun.as_of))
        if found is not None:
            return Quiet(
                manifest=begun.manifest,
                store_url=begun.url,
                store=begun.store,
                head=begun.store.head_at(inputs.entry),
                plan=found.plan,
                skipped=found.skipped,
                notes=found.notes,
                next_moment=found.next_moment,
            )
    session = _session(begun, request, create_store)
    session = _with_measures(session, begun, request, create_store, measure)
    trusted = session.observation.trusted and session.known.complete
    if session.store is not None and inputs is not None and trusted:
        seen = session.observation
        timed = any(is_timed(facts.rule) for facts in session.facts.values())
        remember(
            session.store,
            session.manifest,
            inputs,
            session.plan,
            seen.skipped,
            seen.notes,
            since=seen.as_of if timed else seen.since,
            until=seen.until,
            next_moment=session.next_moment,
        )
    return session


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """What is known before any node and any data is read; `entry` is the newest of the log.

    `feedback` are the late labels that are seen, up to a batch that is there now.
    """

    manifest: Manifest
    as_of: int
    url: str
    store: Store | None
    entry: LogEntry | None
    files: DatasetFiles
    code: Mapping[str, str]
    permissions: Permissions
    environment: str
    feedback: PinnedFeedback


def _begin(request: Request, now: dt.datetime) -> _Begun:
    manifest = load_manifest(request.manifest, retrain_when=request.retrain_when)
    if request.watch is not None:
        manifest = watch_everything(manifest)
    if request.permissions is not None:
        check_callables(manifest, request.permissions)
    as_of = parse_moment(request.as_of, manifest.timezone) if request.as_of else now
    url = store_url(manifest, request.store)
    try:
        store: Store | None = open_store(url, create=False)
    except NotFoundError:
        if request.existing:
            raise
        store = None
    permissions = request.permissions or permitted()
    entry = store.newest_entry() if store is not None else None
    if store is not None and entry is not None:
        check_belongs(manifest, store, entry, url)
    return _Begun(
        manifest=manifest,
        as_of=micros(as_of),
        url=url,
        store=store,
        entry=entry,
        files=find_dataset_files(manifest, request.data),
        code=source_digests(manifest, permissions),
        permissions=permissions,
        environment=environment_digest(),
        feedback=_pinned(store, entry),
    )


def _pinned(store: Store | None, entry: LogEntry | None) -> PinnedFeedback:
    """All late labels that are there, by one listing from the batch that the newest entry names."""
    if store is None:
        return NO_FEEDBACK
    known = 0 if entry is None else entry.feedback_through
    return PinnedFeedback(store=store, through=newest_batch(store, known))


def _inputs(begun: _Begun, request: Request) -> Inputs | None:
    """What the plan is made from; None where the store has no release, or a tick catches up with what was missed."""
    if begun.entry is None or request.through is not None:
        return None
    return Inputs(
        data=begun.files.signature,
        entry=begun.entry,
        environment=begun.environment,
        code=begun.code,
        asked=(request.select, request.exclude, request.force, request.compare),
        as_of=begun.as_of,
        feedback_through=begun.feedback.through,
    )


def _as_of_text(as_of: int) -> str:
    return moment(as_of).isoformat().replace("+00:00", "Z")


def _session(
    begun: _Begun,
    request: Request,
    create_store: bool,
    before: Session | None = None,
    unmeasured: Mapping[str, str] | None = None,
) -> Session:
    """The session; after the one `before`, what was measured since is taken in, but for what could not be."""
    manifest, store, environment = begun.manifest, begun.store, begun.environment
    if before is None:
        head = store.read_head_at(begun.entry) if store is not None else Head()
        # what is only watched leaves no hint: a plan looks at less
        hints = store if request.watch is None else None
        observation = observe(manifest, begun.as_of, hints, begun.files, begun.code, begun.feedback)
    else:
        head, observation = before.head, before.observation
    known = what_is_known(
        observation,
        head,
        store,
        unmeasured or {},
        length=request.watch or WINDOW_DAYS,
        consumed=request.watch is None,
    )
    facts = node_facts(observation, head.nodes, store, known, request.through)
    asked = (*request.select, *request.exclude, *request.force, *request.compare)
    states = selection_states(observation, facts, head.nodes) if any("state:" in one for one in asked) else {}
    graph = observation.graph
    selected = resolve_selection(request.select, request.exclude, graph, manifest, states)
    if request.promote:
        selected = frozenset(request.promote)
    forced = resolve_selection(request.force, (), graph, manifest, states) if request.force else frozenset()
    plan = make_plan(
        graph,
        facts,
        head.nodes,
        as_of=_as_of_text(begun.as_of),
        environment=environment,
        selected=selected | forced,
        forced=forced,
        compared=resolve_selection(request.compare, (), graph, manifest, states) if request.compare else (),
        promoted=request.promote,
    )
    most = plan.fits_beyond(request.max_fits) if create_store else None
    if most is not None:
        raise InputError(
            f"the plan has {most:,} fits, and {request.max_fits or MOST_FITS:,} are allowed",
            f"look at it with `retrain plan`; pass --max-fits {most} if that is meant, else select fewer nodes",
        )
    if store is None and create_store:
        store = open_store(begun.url, create=True)
        leave_hint(observation, store)
    return Session(
        manifest=manifest,
        store_url=begun.url,
        store=store,
        head=head,
        observation=observation,
        facts=facts,
        plan=plan,
        environment=environment,
        permissions=begun.permissions,
        promoted=request.promote,
        known=known,
        asked=_asked(observation, selected | forced, everything=request.watch is not None),
    )


def _asked(observation: Observation, selected: frozenset[str], *, everything: bool) -> frozenset[str]:
    """The selected nodes with the upstreams that their conditions look at; with `everything`, all above them."""
    graph = observation.graph
    if everything:
        return selected | graph.ancestors(selected)
    watching = selected & profiled_nodes(graph, observation.manifest.models)
    return selected | {name for node in watching for name in graph.upstreams(node)}


def read_document(store: Store, pointer: BlobPointer) -> dict[str, Any]:
    """A version document; errors as `packs.read_document`."""
    return packs.read_document(store.objects, pointer)
