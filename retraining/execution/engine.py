"""The life of a node in one run, as flows: settle, column, ship (MANIFEST 1, DESIGN 3).

`settle` waits for the node's upstreams, resolves the plan's condition, judges the challenger and,
where somebody reads it, makes its column; readers start then. `ship` fits what is served, off the
critical path. A flow that needs a fit yields the task's key; the driver runs it and feeds the result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.data.columns import UpstreamColumn, column_digests, handed_down, output_names, usable_rows
from retraining.data.rows import NodeRows
from retraining.data.tables import Table
from retraining.decide.calendar import Calendar
from retraining.decide.fingerprints import attempt_fingerprint, version_of
from retraining.decide.fits import Before, Context, Folds, LeftOut, contexts
from retraining.decide.gates import (
    Check,
    Difference,
    GateEvidence,
    Kind,
    Verdict,
    insufficient,
    judge,
    with_checks,
)
from retraining.decide.plan import Decision, Facts, Plan, readers_below
from retraining.decide.recipes import Recipe, digest_of, recipe_from_json
from retraining.decide.snapshots import NodeData
from retraining.decide.triggers import Reason
from retraining.execution.candidates import (
    Candidate,
    Side,
    Source,
    fresh_parts,
    gate_fits,
    shipped_fit,
    trained_labels,
)
from retraining.execution.flows import Flow, Key
from retraining.execution.tasks import FitKind, FitTask, InputSpec, Piece, ScoreTask, Task, TaskResult
from retraining.execution.work import array_from
from retraining.graph.graph import Graph
from retraining.learn.comparison import psi
from retraining.manifest.catalog import METRICS
from retraining.manifest.values import Input, Manifest, TimeScheme
from retraining.release.values import BlobPointer, NodeState, Parts
from retraining.store.objects import Objects
from retraining.store.packs import read_blob
from retraining.store.results import ResultIndex

Floats = NDArray[np.float64]

#: Rows that neither fit learnt from, below which a shift is only reported (facts/domain.md C2: PSI of 200 rows is noise).
MIN_SHIFT_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Key: the node is judged, and its column is there if somebody reads it."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ship:
    """Key: the promoted node's shipped fit is made and checked."""

    node: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnOf:
    """Key: the honest predictions of a node's version, in one context."""

    node: str
    side: Side
    context: Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Key: a task's result."""

    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnValues:
    """A node's honest predictions on its visible rows, `(n_rows, n_outputs)`; or the error that prevented them."""

    rows: NDArray[np.intp]
    values: Floats
    first: int | None
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class NodeResult:
    """What became of a node, and all that its records are written from."""

    node: str
    decision: Decision
    outcome: str
    because: str
    candidate: Candidate | None = None
    verdict: Verdict | None = None
    parts: Parts | None = None
    fingerprint: str = ""
    version: str = ""
    wiring: Mapping[str, str] = field(default_factory=dict)
    edges: list[dict[str, Any]] = field(default_factory=list)
    unchanged: bool = False
    error: str | None = None

    @property
    def won(self) -> bool:
        """True while the challenger is what the node's readers should learn from."""
        return self.outcome == "promoted"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All that a run knows when it starts; read once, never changed."""

    manifest: Manifest
    graph: Graph
    plan: Plan
    facts: Mapping[str, Facts]
    states: Mapping[str, NodeState]
    tables: Mapping[str, Table]
    rows: Callable[[Recipe, tuple[Any, ...]], NodeRows]
    describe: Callable[[Recipe], NodeData]
    join: Callable[[str, Input], NDArray[np.intp] | None]
    objects: Objects
    as_of: int
    environment: str


class Engine:
    """The flows of one run. `submit` takes a new task; `put_array` hands an array to the workers."""

    def __init__(
        self,
        world: World,
        results: ResultIndex,
        submit: Callable[[Task, str, float], None],
        put_array: Callable[[str, NDArray[np.generic]], None],
    ) -> None:
        self.world = world
        self.results = results
        self.challengers: dict[str, Candidate] = {}
        self._champions: dict[str, Candidate | None] = {}
        self._submit = submit
        self._put_array = put_array
        self._arrays: dict[str, NDArray[np.generic]] = {}
        self._documents: dict[str, dict[str, Any]] = {}
        active = {decision.node for decision in world.plan.active}
        self._readers = readers_below(world.graph, active)
        costs = {d.node: d.seconds or 1.0 for d in world.plan.decisions}
        self._paths = world.graph.longest_paths_below(costs)

    def open_flow(self, key: Key) -> Flow | None:
        """The flow that computes a key; None for tasks, whose results are fed."""
        match key:
            case Settle(node=node):
                return self._settle(node)
            case Ship(node=node):
                return self._ship(node)
            case ColumnOf():
                return self._column(key)
            case _:
                return None

    # -- settle -----------------------------------------------------------------------------------

    def _settle(self, node: str) -> Flow:
        world = self.world
        decision = world.plan[node]
        upstreams = world.graph.upstreams(node)
        above = dict(zip(upstreams, (yield tuple(Settle(node=name) for name in upstreams)), strict=True))
        won = {name for name, result in above.items() if result.won}
        if decision.action == "blocked":
            return NodeResult(node=node, decision=decision, outcome="blocked", because=decision.note)
        if decision.action == "keep" and not won:
            return NodeResult(node=node, decision=decision, outcome="kept", because=decision.note)
        candidate = self._challenger(node, won)
        lacking = [column for column, sources in candidate.sources.items() if not sources]
        if lacking:
            return self._blocked(node, decision, above, lacking[0])
        error = yield from self._prepare(candidate, None if candidate.cut is not None else frozenset())
        if error is not None:
            return self._failed(node, decision, candidate, error)
        thin = self._thin_inputs(candidate)
        if thin and decision.action != "keep":
            return NodeResult(
                node=node, decision=decision, outcome="blocked", because=thin, candidate=candidate
            )
        decision, result = self._resolve(node, decision, candidate)
        if result is not None:
            return result
        self.challengers[node] = candidate
        result = yield from self._judge(node, decision, candidate)
        if result.won and self._readers[node]:
            error = yield from self._columns(node, candidate)
            if error is not None:
                del self.challengers[node]
                return self._failed(node, decision, candidate, error)
        return result

    def _challenger(self, node: str, won: Collection[str]) -> Candidate:
        facts = self.world.facts[node]
        sources: dict[str, tuple[Source, ...]] = {item.column: () for item in facts.recipe.inputs}
        for edge in self.world.graph.edges_into(node):
            state = self.world.states.get(edge.upstream)
            if edge.upstream in won:
                sources[edge.column] += ((edge.upstream, "challenger"),)
            elif state is not None and state.version is not None:
                sources[edge.column] += ((edge.upstream, "champion"),)
        cut = None
        if isinstance(facts.recipe.scheme, TimeScheme):
            gated = facts.recipe.ship == "gated" and facts.data.holdout
            cut = facts.data.holdout[0] if gated else facts.data.next_block
        return self._candidate(node, "challenger", facts.recipe, facts.data, cut, sources)

    def _candidate(
        self,
        node: str,
        side: Side,
        recipe: Recipe,
        data: NodeData,
        cut: int | None,
        sources: Mapping[str, tuple[Source, ...]],
    ) -> Candidate:
        return Candidate(
            node=node,
            side=side,
            recipe=recipe,
            data=data,
            rows=self.world.rows(recipe, data.classes),
            as_of=self.world.as_of,
            environment=self.world.environment,
            cut=cut,
            sources=sources,
        )

    def _resolve(
        self, node: str, decision: Decision, candidate: Candidate
    ) -> tuple[Decision, NodeResult | None]:
        """Settles the plan's condition; a result where there is nothing to do after all."""
        facts = self.world.facts[node]
        state = facts.state
        parts = candidate.evidence.parts(shipped_fit(candidate))
        changed = self._changed_columns(candidate, state)
        if decision.action == "keep":
            return decision, NodeResult(
                node=node,
                decision=decision,
                outcome="kept",
                because=decision.note,
                candidate=candidate,
                unchanged=not changed and _same_rows(parts, state),
            )
        forced = any(reason.kind in ("forced", "failed before") for reason in decision.reasons)
        if decision.conditional and not changed and state is not None and state.version is not None:
            note = "its upstream columns did not change on its rows"
            settled = replace(decision, action="keep", conditional=False, note=note)
            return settled, NodeResult(
                node=node, decision=settled, outcome="kept", because=note, candidate=candidate, unchanged=_same_rows(parts, state)
            )
        if decision.conditional:
            text = f"{', '.join(changed) or 'an upstream column'} changed"
            kept = tuple(reason for reason in decision.reasons if reason.kind != "upstream")
            reason = Reason(kind="upstream", text=text, evidence={"columns": list(changed)})
            decision = replace(decision, conditional=False, reasons=(*kept, reason))
        fingerprint = attempt_fingerprint(node, parts, candidate.data.holdout)
        attempt = state.attempt if state is not None else None
        if attempt is not None and attempt.fingerprint == fingerprint and not forced and attempt.outcome != "waiting":
            note = f"due, and nothing changed since the last attempt ({attempt.outcome}: {attempt.because})"
            settled = replace(decision, action="keep", note=note)
            return settled, NodeResult(
                node=node, decision=settled, outcome="kept", because=note, candidate=candidate,
                unchanged=not changed and _same_rows(parts, state),
            )
        return decision, None

    def _changed_columns(self, candidate: Candidate, state: NodeState | None) -> list[str]:
        """The inputs whose column differs from the champion's on the champion's training rows."""
        if state is None or state.parts is None or state.version is None:
            return list(candidate.sources)
        wiring = state.wiring
        changed = []
        before = self._champion_left_out(candidate.node, state)
        now = candidate.evidence.upstream_parts(before)
        for column, sources in candidate.sources.items():
            same = all(
                side == "champion" and wiring.get(name) == self.world.states[name].version for name, side in sources
            )
            if not same and now.get(column) != state.parts.upstream.get(column):
                changed.append(column)
        return changed

    def _champion_left_out(self, node: str, state: NodeState) -> LeftOut:
        document = self._document(state.document)
        block = document.get("cut_block") if document else None
        return Folds(frozenset()) if block is None else Before(int(block))

    def _thin_inputs(self, candidate: Candidate) -> str:
        """Why an input covers too few rows, or ''."""
        for item in candidate.recipe.inputs:
            covered = candidate.coverage.get(item.column, 0.0)
            wanted = self._coverage_wanted(candidate.node, item)
            if covered < wanted:
                return (
                    f"{item.column} covers {covered:.1%} of the rows from its first predicted block on, "
                    f"and coverage is {wanted:.1%}"
                )
        return ""

    def _coverage_wanted(self, node: str, item: Input) -> float:
        model = self.world.manifest.models[self.world.graph.node(node).model]
        return next((one.coverage for one in model.inputs if one.column == item.column), 0.0)

    # -- upstream columns -------------------------------------------------------------------------

    def _prepare(self, candidate: Candidate, context: Context) -> Flow:
        """Assembles the upstream columns of a candidate in one context; the value is an error or None."""
        if context in candidate.inputs:
            return None
        keys = [
            ColumnOf(node=name, side=side, context=context)
            for sources in candidate.sources.values()
            for name, side in sources
        ]
        found = dict(zip(keys, (yield tuple(keys)), strict=True))
        specs: list[InputSpec] = []
        columns: list[UpstreamColumn] = []
        for item in candidate.recipe.inputs:
            parts = [
                (name, side, found[ColumnOf(node=name, side=side, context=context)])
                for name, side in candidate.sources.get(item.column, ())
            ]
            broken = next((f"{name}: {part.error}" for name, _, part in parts if part.error), None)
            if broken is not None:
                return f"an upstream column could not be made: {broken}"
            spec, column = self._assembled(candidate, item, parts, context)
            specs.append(spec)
            columns.append(column)
            values = column.at(candidate.rows.rows)
            candidate.digests[(context, item.column)] = column_digests(
                values, candidate.rows.part, candidate.rows.known
            )
            error = self._count_coverage(candidate, item, parts, values)
            if error is not None:
                return error
        candidate.usable[context] = usable_rows(candidate.rows.rows, columns)
        candidate.inputs[context] = tuple(specs)
        return None

    def _assembled(
        self,
        candidate: Candidate,
        item: Input,
        parts: Sequence[tuple[str, Side, ColumnValues]],
        context: Context,
    ) -> tuple[InputSpec, UpstreamColumn]:
        """The union of an input's upstream nodes over the rows of their dataset, handed to the workers once."""
        upstream = self._upstream_recipe(item, parts)
        classes = self._upstream_classes(parts)
        names = output_names(item.column, upstream.task if upstream else "regression", classes)
        versions = [[name, side, self._version_name(name, side)] for name, side, _ in parts]
        context_name = None if context is None else sorted(context)
        key = digest_of(["column", item.upstream, versions, context_name])
        dataset = upstream.dataset if upstream else candidate.recipe.dataset
        if key not in self._arrays:
            values = np.full((self.world.tables[dataset].n_rows, len(names)), np.nan)
            for name, side, part in parts:
                side_classes = self._side_classes(name, side)
                task = upstream.task if upstream else "regression"
                values[part.rows] = handed_down(part.values, task, len(side_classes))
            self._arrays[key] = values
            self._put_array(key, values)
        join = self.world.join(candidate.recipe.dataset, item)
        join_key = None
        if join is not None:
            join_key = digest_of(["join", candidate.recipe.dataset, item.upstream, [list(pair) for pair in item.match]])
            if join_key not in self._arrays:
                self._arrays[join_key] = join
                self._put_array(join_key, join)
        policy = candidate.recipe.missing_policy(item)
        spec = InputSpec(values=key, join=join_key, names=names, policy=policy)
        column = UpstreamColumn(
            values=np.asarray(self._arrays[key], np.float64), join=join, names=names, policy=policy
        )
        return spec, column

    def _count_coverage(
        self,
        candidate: Candidate,
        item: Input,
        parts: Sequence[tuple[str, Side, ColumnValues]],
        values: Floats,
    ) -> str | None:
        firsts = [part.first for _, _, part in parts if part.first is not None]
        counted = candidate.rows.part >= (min(firsts) if firsts else np.iinfo(np.int32).max)
        present = ~np.isnan(values).any(axis=1)
        total = int(counted.sum())
        candidate.coverage[item.column] = float((present & counted).sum() / total) if total else 0.0
        missing = total - int((present & counted).sum())
        if candidate.recipe.missing_policy(item) == "refuse" and missing:
            return f"{item.column} is missing in {missing} of {total} rows, and `missing: refuse` allows none"
        return None

    def _upstream_recipe(self, item: Input, parts: Sequence[tuple[str, Side, ColumnValues]]) -> Recipe | None:
        if parts:
            name, side, _ = parts[0]
            found = self._side_candidate(name, side)
            return found.recipe if found is not None else None
        return next((f.recipe for f in self.world.facts.values() if f.recipe.model == item.upstream), None)

    def _upstream_classes(self, parts: Sequence[tuple[str, Side, ColumnValues]]) -> tuple[object, ...]:
        return tuple(self._side_classes(parts[0][0], parts[0][1])) if parts else ()

    def _side_classes(self, name: str, side: Side) -> tuple[object, ...]:
        found = self._side_candidate(name, side)
        return tuple(found.data.classes) if found is not None else ()

    def _side_candidate(self, name: str, side: Side) -> Candidate | None:
        return self.challengers[name] if side == "challenger" else self._champions.get(name)

    def _version_name(self, name: str, side: Side) -> str:
        candidate = self._side_candidate(name, side)
        return candidate.version if candidate is not None else ""

    def _columns(self, node: str, candidate: Candidate) -> Flow:
        """Makes the columns that a winner's readers ask for; the value is an error or None."""
        asked: list[Context] = [None]
        scheme = candidate.recipe.scheme
        if not isinstance(scheme, TimeScheme):
            asked = list(contexts(scheme.folds, self._readers[node]))
        found = yield tuple(ColumnOf(node=node, side="challenger", context=context) for context in asked)
        return next((column.error for column in found if column.error is not None), None)

    def _column(self, key: ColumnOf) -> Flow:
        """The honest predictions of one version: each block or fold by a fit that never saw it."""
        if key.side == "challenger":
            candidate: Candidate | None = self.challengers[key.node]
        else:
            candidate = self._champion(key.node)
        empty = np.zeros((0, 1))
        if candidate is None:
            reason = "the champion's recorded columns are no longer in the data"
            return ColumnValues(rows=np.zeros(0, np.intp), values=empty, first=None, error=reason)
        wanted = candidate.column_fits(key.context)
        error = yield from self._contexts(candidate, wanted)
        if error is not None:
            return ColumnValues(rows=candidate.rows.rows, values=empty, first=None, error=error)
        fits = candidate.possible(wanted)
        keep = candidate.cut is None  # folds: a later column needs every fit of the lattice again
        kind: FitKind = "block" if key.side == "challenger" else "champion"
        values, error = yield from self._predictions(candidate, fits, kind, keep_model=keep)
        first = min((part for parts in fits.values() for part in parts), default=None)
        return ColumnValues(rows=candidate.rows.rows, values=values, first=first, error=error)

    def _predictions(
        self,
        candidate: Candidate,
        fits: Mapping[LeftOut, Sequence[int]],
        kind: FitKind,
        *,
        keep_model: bool = False,
        keep_models_of: Collection[LeftOut] = (),
    ) -> Flow:
        """The predictions of some fits on the node's rows (NaN elsewhere), and an error or None."""
        pieces: list[Piece] = []
        tasks: list[FitTask] = []
        for left_out, parts in fits.items():
            keep = keep_model or left_out in keep_models_of
            task, wanted = candidate.task(left_out, parts, kind, self.results, keep_model=keep)
            pieces += wanted
            if task is not None:
                tasks.append(task)
            else:
                candidate.counts["reused"] = candidate.counts.get("reused", 0) + 1
        done = yield self._do(candidate, tasks)
        self._count(candidate, tasks, done)
        values = np.full((len(candidate.rows.rows), candidate.width), np.nan)
        error = next((result.error for result in done if result.error is not None), None)
        if error is not None:
            return values, error
        for piece in pieces:
            record = self.results.find("column", piece.fingerprint)
            pointer = record.blob("column") if record is not None else None
            if pointer is None:
                return values, f"the predictions of {candidate.node} on part {piece.part} are not in the store"
            values[candidate.rows.part == piece.part] = array_from(read_blob(self.world.objects, pointer))
        return values, None

    @staticmethod
    def _count(candidate: Candidate, tasks: Sequence[FitTask], done: Sequence[TaskResult]) -> None:
        for task, result in zip(tasks, done, strict=True):
            word = "made" if task.model is None else "reused"
            candidate.counts[word] = candidate.counts.get(word, 0) + 1
            candidate.seconds += result.ended - result.started
            candidate.peak_bytes = max(candidate.peak_bytes, result.peak_bytes)

    def _do(self, candidate: Candidate, tasks: Sequence[FitTask]) -> tuple[Key, ...]:
        low = {"shipped", "comparison"}
        for task in tasks:
            # what ships and what only compares is off the critical path
            priority = 0.0 if task.kind in low else self._paths.get(task.node, 0.0)
            self._submit(task, candidate.recipe.model, priority)
        return tuple(Done(task=task.id) for task in tasks)

    # -- the champion -----------------------------------------------------------------------------

    def _champion(self, node: str) -> Candidate | None:
        """The released version as a candidate; None without one, or where its columns left the data."""
        if node not in self._champions:
            self._champions[node] = self._build_champion(node)
        return self._champions[node]

    def _build_champion(self, node: str) -> Candidate | None:
        state = self.world.states.get(node)
        document = self._document(state.document) if state is not None else None
        if state is None or state.version is None or document is None:
            return None
        recipe = recipe_from_json(document["recipe"])
        table = self.world.tables.get(recipe.dataset)
        current = self.world.facts.get(node)
        if table is None or current is None or any(name not in table.columns for name in recipe.features):
            return None
        same = recipe.digest() == current.recipe.digest()
        data = current.data if same else self.world.describe(recipe)
        sources: dict[str, tuple[Source, ...]] = {
            column: tuple((name, "champion") for name in names)
            for column, names in document["sources"].items()
        }
        for names in sources.values():
            for name, _ in names:
                self._champion(name)
        candidate = self._candidate(node, "champion", recipe, data, document["cut_block"], sources)
        candidate.version = state.version
        candidate.recorded = document["fits"]
        return candidate

    def _document(self, pointer: BlobPointer | None) -> dict[str, Any] | None:
        if pointer is None:
            return None
        if pointer.digest not in self._documents:
            self._documents[pointer.digest] = json.loads(read_blob(self.world.objects, pointer))
        return self._documents[pointer.digest]

    def _champion_on(self, candidate: Candidate, judged: NDArray[np.bool_]) -> Flow:
        """The champion's honest predictions on the judged rows, an error, and whether its gate fit is the challenger's."""
        champion = self._champion(candidate.node)
        if champion is None:
            return None, None, False
        wanted = self._champion_gate(champion, candidate, judged)
        error = yield from self._contexts(champion, wanted)
        if error is not None:
            return None, error, False
        fits = {
            left_out: parts
            for left_out, parts in wanted.items()
            if str(left_out) in champion.recorded or champion.exists(left_out)
        }
        if not fits:
            return None, None, False
        own = {candidate.evidence.fit(left_out) for left_out in gate_fits(candidate)}
        theirs = {champion.fingerprint(left_out, self.results)[0] for left_out in fits}
        values, error = yield from self._predictions(champion, fits, "champion")
        return values, error, own == theirs

    def _champion_gate(
        self, champion: Candidate, candidate: Candidate, judged: NDArray[np.bool_]
    ) -> dict[LeftOut, list[int]]:
        if champion.cut is None or not isinstance(champion.recipe.scheme, TimeScheme):
            return champion.column_fits(frozenset())
        # the champion may have other blocks: its fit must end before the challenger's holdout begins
        theirs = Calendar(champion.recipe.timezone, champion.recipe.scheme.block_days)
        own = Calendar(candidate.recipe.timezone, self._block_days(candidate))
        begin = theirs.block_at(own.start(candidate.data.holdout[0]))
        left_out = Before(min(champion.cut, begin))
        parts = np.unique(champion.rows.part[judged]).tolist()
        return {left_out: parts}

    @staticmethod
    def _block_days(candidate: Candidate) -> int:
        scheme = candidate.recipe.scheme
        return scheme.block_days if isinstance(scheme, TimeScheme) else 1

    # -- judging ----------------------------------------------------------------------------------

    def _judge(self, node: str, decision: Decision, candidate: Candidate) -> Flow:
        parts = candidate.evidence.parts(shipped_fit(candidate))
        candidate.version = version_of(node, parts, shipped_fit(candidate))
        result = NodeResult(
            node=node,
            decision=decision,
            outcome="insufficient",
            because="",
            candidate=candidate,
            parts=parts,
            fingerprint=attempt_fingerprint(node, parts, candidate.data.holdout),
            version=candidate.version,
            wiring=self._wiring(candidate),
        )
        error = yield from self._contexts(candidate, gate_fits(candidate))
        if error is not None:
            return self._failed(node, decision, candidate, error)
        why = self._not_judgeable(candidate)
        if why:
            result.verdict, result.because = insufficient(why), why
            return result
        fits = candidate.possible(gate_fits(candidate))
        judged = self._judged_rows(candidate)
        extra = fresh_parts(candidate)
        wide = {left_out: sorted({*own, *extra}) for left_out, own in fits.items()}
        values, error = yield from self._predictions(candidate, wide, "gate", keep_model=True)
        if error is not None:
            return self._failed(node, decision, candidate, error)
        champion, error, same = yield from self._champion_on(candidate, judged)
        if error is not None:
            return self._failed(node, decision, candidate, f"its champion could not be scored: {error}")
        without = yield from self._without_inputs(candidate, fits, judged)
        scored = yield from self._scored(candidate, values, champion, without, judged, fits)
        if isinstance(scored, str):
            return self._failed(node, decision, candidate, scored)
        answer, kind = scored, self._kind(node, candidate, champion, same)
        self._conclude(result, candidate, answer, kind, judged)
        return result

    def _contexts(self, candidate: Candidate, fits: Mapping[LeftOut, Sequence[int]]) -> Flow:
        """The upstream columns that each of these fits reads; the value is an error or None."""
        for left_out in fits:
            context = left_out.folds if isinstance(left_out, Folds) else None
            error = yield from self._prepare(candidate, context)
            if error is not None:
                return error
        return None

    def _not_judgeable(self, candidate: Candidate) -> str:
        if not candidate.data.rows:
            return "there are no rows"
        holdout = candidate.data.holdout
        if candidate.cut is not None and not holdout:
            return "no block of labels is mature yet"
        if not candidate.possible(gate_fits(candidate)):
            if candidate.cut is None:
                return "no fold has rows to learn from"
            rows = len(candidate.training_rows(Before(holdout[0])))
            scheme = candidate.recipe.scheme
            wanted = f"{scheme.min_rows} in {scheme.min_blocks} blocks" if isinstance(scheme, TimeScheme) else ""
            return f"only {rows} rows are known before the holdout, and min_train asks for {wanted}"
        if not self._judged_rows(candidate).any():
            return "the holdout has no labelled rows"
        return ""

    def _judged_rows(self, candidate: Candidate) -> NDArray[np.bool_]:
        rows = candidate.rows
        if candidate.cut is None:
            return rows.labelled
        return rows.known_now & np.isin(rows.part, candidate.data.holdout)

    def _kind(self, node: str, candidate: Candidate, champion: Floats | None, same: bool) -> Kind:
        state = self.world.states.get(node)
        if champion is None or state is None or state.parts is None:
            return "first"
        if same:
            return "same recipe"
        return "refresh" if state.parts.recipe == candidate.recipe.digest() else "recipe"

    def _without_inputs(
        self, candidate: Candidate, fits: Mapping[LeftOut, Sequence[int]], judged: NDArray[np.bool_]
    ) -> Flow:
        """Predictions of the same fits without each *new* input (None: nothing would be left)."""
        del judged
        state = self.world.states.get(candidate.node)
        document = self._document(state.document) if state is not None else None
        known = set(document["edges_known"]) if document else set()
        without: dict[str, Floats | None] = {}
        for item in candidate.recipe.inputs:
            if item.column in known:
                continue
            rest = tuple(one for one in candidate.recipe.inputs if one.column != item.column)
            if not rest and not candidate.recipe.features:
                without[item.column] = None
                continue
            variant = replace_inputs(candidate, rest)
            values, error = yield from self._predictions(variant, fits, "comparison")
            if error is None:
                without[item.column] = values
            self._charge(candidate, variant)
        return without

    @staticmethod
    def _charge(candidate: Candidate, variant: Candidate) -> None:
        made = variant.counts.get("made", 0)
        candidate.counts["comparisons"] = candidate.counts.get("comparisons", 0) + made

    def _scored(
        self,
        candidate: Candidate,
        values: Floats,
        champion: Floats | None,
        without: Mapping[str, Floats | None],
        judged: NDArray[np.bool_],
        fits: Mapping[LeftOut, Sequence[int]],
    ) -> Flow:
        """The numbers of the gate, or the text of the error that prevented them."""
        able = judged & ~np.isnan(values).any(axis=1)
        for other in [champion, *without.values()]:
            if other is not None:
                able &= ~np.isnan(other).any(axis=1)
        if not able.any():
            return "no row of the holdout has a prediction of everybody who is compared"
        rows = candidate.rows
        gate = next(iter(fits)) if candidate.cut is not None else None
        trained = trained_labels(candidate, gate) if gate is not None else rows.labelled
        fresh = np.zeros(len(trained), bool)
        if gate is not None:
            fresh = trained_labels(candidate, shipped_fit(candidate)) & ~trained
        task = ScoreTask(
            id=digest_of(["score", candidate.node, candidate.version]),
            node=candidate.node,
            metrics=self.world.manifest.models[candidate.recipe.model].metrics,
            task=candidate.recipe.task,
            classes=candidate.data.classes,
            target=rows.target[able],
            clusters=rows.cluster[able],
            challenger=values[able],
            champion=None if champion is None else champion[able],
            without={name: None if other is None else other[able] for name, other in without.items()},
            train=rows.target[trained],
            train_days=rows.cluster[trained] if gate is not None else None,
            fresh=rows.target[fresh],
            fresh_days=rows.cluster[fresh] if gate is not None else None,
            seed=candidate.recipe.fit_seed("gate"),
        )
        self._submit(task, f"{candidate.recipe.model} score", self._paths.get(candidate.node, 0.0))
        (done,) = yield (Done(task=task.id),)
        return done.error if done.error is not None else done.scores

    def _conclude(
        self,
        result: NodeResult,
        candidate: Candidate,
        answer: Mapping[str, Any],
        kind: Kind,
        judged: NDArray[np.bool_],
    ) -> None:
        model = self.world.manifest.models[candidate.recipe.model]
        difference = answer["difference"]
        labels = answer["labels"]
        evidence = GateEvidence(
            kind=kind,
            metrics=model.metrics,
            challenger=answer["challenger"],
            champion=answer["champion"],
            dummy=answer["dummy"],
            difference=None
            if difference is None
            else Difference(
                metric=difference["metric"],
                value=difference["value"],
                lower=difference["lower"],
                upper=difference["upper"],
                champion_loss=difference["without"],
                rows=difference["rows"],
                clusters=difference["clusters"],
            ),
            holdout=self._holdout_of(candidate, judged),
            checks=() if labels is None else (Check(**labels),),
        )
        better = {name: METRICS[name].greater_is_better for name in model.metrics}
        result.verdict = judge(evidence, model.gate, better)
        result.outcome, result.because = result.verdict.word, result.verdict.because
        result.edges = [
            {
                "column": column,
                **numbers,
                "difference": numbers["value"],
                "from": evidence.holdout.get("from"),
                "to": evidence.holdout.get("to"),
            }
            for column, numbers in answer["without"].items()
        ]

    def _holdout_of(self, candidate: Candidate, judged: NDArray[np.bool_]) -> dict[str, Any]:
        clusters = len(np.unique(candidate.rows.cluster[judged]))
        doc: dict[str, Any] = {"rows": int(judged.sum()), "clusters": clusters}
        if candidate.cut is not None:
            calendar = Calendar(candidate.recipe.timezone, self._block_days(candidate))
            blocks = candidate.data.holdout
            doc |= {
                "from": calendar.date(blocks[0]).isoformat(),
                "to": calendar.date(blocks[-1] + 1).isoformat(),
                "blocks": len(blocks),
            }
        return doc

    def _wiring(self, candidate: Candidate) -> dict[str, str]:
        return {
            name: self._version_name(name, side)
            for sources in candidate.sources.values()
            for name, side in sources
        }

    # -- shipping ---------------------------------------------------------------------------------

    def _ship(self, node: str) -> Flow:
        (result,) = yield (Settle(node=node),)
        if not result.won:
            return None
        candidate = result.candidate
        gate = candidate.possible(gate_fits(candidate))
        shipped = shipped_fit(candidate)
        model = self.world.manifest.models[candidate.recipe.model]
        if candidate.cut is None:
            # like with like: both fits learnt from fold 0
            other = Folds(frozenset({1}))
            error = yield from self._contexts(candidate, {other: [0]})
            compared: dict[LeftOut, list[int]] = {other: [0]}
            parts = [0]
        else:
            error, compared, parts = None, {}, sorted({*candidate.data.holdout, *fresh_parts(candidate)})
        if error is None and shipped not in gate:
            values, error = yield from self._predictions(candidate, {shipped: parts}, "shipped", keep_model=True)
            if error is None:
                source = compared or {next(iter(gate)): parts}
                reference, error = yield from self._predictions(candidate, source, "gate", keep_model=True)
        if error is not None:
            result.outcome, result.because, result.error = "failed", error, error
            return None
        checks = list(self._model_checks(candidate, shipped))
        if shipped not in gate:
            checks.append(self._shift(candidate, reference, values, model.gate.refit_shift))
        result.verdict = with_checks(result.verdict, tuple(checks))
        result.outcome, result.because = result.verdict.word, result.verdict.because
        return None

    def _model_checks(self, candidate: Candidate, shipped: LeftOut) -> list[Check]:
        record = self.results.find("fit", candidate.made[str(shipped)])
        reload_equal = bool(record.metrics.get("reload_equal", True)) if record is not None else False
        note = "the stored model predicts what the fitted one did" if reload_equal else "the stored model predicts otherwise"
        return [Check(name="reload", value=None, limit=None, passed=reload_equal, note=note)]

    def _shift(self, candidate: Candidate, gate: Floats, shipped: Floats, limit: float) -> Check:
        """The shift of predictions between gate fit and shipped fit (MANIFEST 1)."""
        both = ~np.isnan(gate).any(axis=1) & ~np.isnan(shipped).any(axis=1)
        finite = bool(np.isfinite(shipped[both]).all())
        if not finite:
            return Check(
                name="finite", value=None, limit=None, passed=False, note="it predicts values that are not finite"
            )
        blocking, where = True, "on rows that neither fit learnt from"
        chosen = both
        if candidate.cut is not None:
            unseen = both & ~trained_labels(candidate, shipped_fit(candidate))
            blocking = int(unseen.sum()) >= MIN_SHIFT_ROWS
            chosen = unseen if blocking else both
            where = where if blocking else "on the holdout, which the shipped fit learnt from (reported only)"
        else:
            where = "on fold 0, which both fits learnt from"
        # the last output: the value, or the probability of the last class
        shift = psi(gate[chosen, -1], shipped[chosen, -1]) if chosen.any() else 0.0
        note = f"predictions shift by PSI {shift:.3f} between gate fit and shipped fit {where}"
        return Check(name="shift", value=shift, limit=limit, passed=shift <= limit or not blocking, note=note, blocking=blocking)

    # -- results that end a node ------------------------------------------------------------------

    def _failed(self, node: str, decision: Decision, candidate: Candidate, error: str) -> NodeResult:
        parts = None
        fingerprint = ""
        shipped = shipped_fit(candidate)
        if (None if candidate.cut is not None else frozenset()) in candidate.inputs:
            parts = candidate.evidence.parts(shipped)
            fingerprint = attempt_fingerprint(node, parts, candidate.data.holdout)
        return NodeResult(
            node=node,
            decision=decision,
            outcome="failed",
            because=error.splitlines()[0] if error else "failed",
            candidate=candidate,
            parts=parts,
            fingerprint=fingerprint,
            version=candidate.version,
            wiring=self._wiring(candidate) if parts is not None else {},
            error=error,
        )

    def _blocked(
        self, node: str, decision: Decision, above: Mapping[str, NodeResult], column: str
    ) -> NodeResult:
        names = [edge.upstream for edge in self.world.graph.edges_into(node) if edge.column == column]
        causes = [f"{name} is {above[name].outcome}: {above[name].because}" for name in names if name in above]
        because = f"no usable version of {column}" + (f" ({'; '.join(causes[:2])})" if causes else "")
        return NodeResult(node=node, decision=decision, outcome="blocked", because=because)


def _same_rows(parts: Parts, state: NodeState | None) -> bool:
    """True where a champion's recipe and training rows are today's: then only its columns could differ."""
    return (
        state is not None
        and state.parts is not None
        and (state.parts.recipe, state.parts.data) == (parts.recipe, parts.data)
    )


def replace_inputs(candidate: Candidate, inputs: tuple[Input, ...]) -> Candidate:
    """The candidate with fewer inputs: same rows, same other columns, other fits."""
    recipe = replace(candidate.recipe, inputs=inputs)
    kept = {item.column for item in inputs}
    position = [index for index, item in enumerate(candidate.recipe.inputs) if item.column in kept]
    return Candidate(
        node=candidate.node,
        side=candidate.side,
        recipe=recipe,
        data=candidate.data,
        rows=candidate.rows,
        as_of=candidate.as_of,
        environment=candidate.environment,
        cut=candidate.cut,
        sources={column: sources for column, sources in candidate.sources.items() if column in kept},
        inputs={context: tuple(specs[i] for i in position) for context, specs in candidate.inputs.items()},
        digests={key: digest for key, digest in candidate.digests.items() if key[1] in kept},
        # asked only whether a fit can be made, which is answered as with the input
        usable=candidate.usable,
    )


__all__ = ["ColumnOf", "Done", "Engine", "NodeResult", "Settle", "Ship", "TaskResult", "World"]
