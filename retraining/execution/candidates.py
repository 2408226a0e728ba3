"""A version of a node in the making (the challenger) or as it was released (the champion).

A candidate knows its recipe, its rows and its upstream columns, and answers which fit predicts which
rows, under which fingerprint, and what is already in the store. Nothing here trains.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from retraining.data.identities import Identities
from retraining.data.rows import NodeRows
from retraining.decide.fingerprints import ColumnDigests, Evidence
from retraining.decide.fits import Before, Context, Folds, LeftOut, column_fit, fit_context
from retraining.decide.lineage import FedCell, Handed
from retraining.decide.recipes import Recipe, digest_of
from retraining.decide.snapshots import NodeData
from retraining.execution.tasks import FitKind, FitTask, InputSpec, Piece
from retraining.manifest.values import FoldScheme, TimeScheme
from retraining.release.recorded import NOTHING_RECORDED, Recorded
from retraining.release.values import BlobPointer
from retraining.store.packs import Action, StoredRecord


@dataclass(frozen=True, slots=True)
class Fed:
    """The champion of a node, fed with what the challengers `new` above it hand down."""

    new: frozenset[str]


Side: TypeAlias = Literal["challenger", "champion"] | Fed
Source: TypeAlias = tuple[str, Side]


class Results(Protocol):
    """Finished results by fingerprint."""

    def find(self, action: Action, fingerprint: str) -> StoredRecord | None:
        """The record of this action with this fingerprint, None if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What fed an input in one context, as `decide.lineage.Feed` has it, with the upstreams as candidates."""

    kind: str
    upstreams: tuple[Candidate, ...]
    cells: tuple[FedCell, ...]
    rows: Mapping[int, tuple[int, int]]


@dataclass(slots=True, kw_only=True)
class Candidate:
    """One version of a node during a run.

    `cut` is the block before which the version's shipped fit ends (None in the fold scheme).
    `sources` maps each input's column to the nodes, and their sides, that it reads. `recorded` are
    the fits that a champion's document names. What `prepare` fills in is by context. A champion that
    is fed with other columns predicts by the fits of `base`, which learnt from its own.
    """

    node: str
    side: Side
    recipe: Recipe
    data: NodeData
    rows: NodeRows
    as_of: int
    environment: str
    cut: int | None
    sources: Mapping[str, tuple[Source, ...]]
    version: str = ""
    recorded: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    base: Candidate | None = None
    told: tuple[str, str] | None = None  # a champion's lineage: its digest, and the pack that holds it
    told_column: Recorded = NOTHING_RECORDED  # what its document tells of recorded columns
    inputs: dict[Context, tuple[InputSpec, ...]] = field(default_factory=dict)
    digests: dict[tuple[Context, str], ColumnDigests] = field(default_factory=dict)
    usable: dict[Context, NDArray[np.bool_]] = field(default_factory=dict)
    identities: Identities | None = None  # of its rows; time scheme, once its inputs are prepared
    coverage: dict[str, float] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)  # recorded fits whose stored model cannot be read
    remade: set[str] = field(default_factory=set)  # recorded fits in whose place today's were made
    made: dict[str, str] = field(default_factory=dict)  # left out -> fingerprint, of every fit that was used
    counts: dict[str, int] = field(default_factory=dict)  # fits made and reused
    handed: list[Handed] = field(default_factory=list)  # the pieces that it was judged by or handed down
    places: dict[str, int] = field(default_factory=dict)  # where each of them stands, by fingerprint
    intakes: dict[tuple[Context, str], Intake] = field(default_factory=dict)
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def evidence(self) -> Evidence:
        """What the candidate's fits are made from."""
        return Evidence(
            recipe=self.recipe, data=self.data, upstream=self.digests, environment=self.environment
        )

    @property
    def width(self) -> int:
        """The number of outputs of its models."""
        return 1 if self.recipe.task == "regression" else len(self.data.classes)

    def training_rows(self, left_out: LeftOut) -> NDArray[np.intp]:
        """Positions of the rows that a fit learns from."""
        return self.rows.training(left_out, self.usable[fit_context(left_out)])

    def exists(self, left_out: LeftOut) -> bool:
        """True where a fit has enough rows to be made (`min_train`).

        In the time scheme a fit of one class is not made, or with `degenerate: prior` predicts that class.
        """
        if self.base is not None:
            return self.base.exists(left_out)
        scheme = self.recipe.scheme
        chosen = self.training_rows(left_out)
        if not isinstance(scheme, TimeScheme):
            return len(chosen) > 0
        blocks = len(np.unique(self.rows.part[chosen]))
        enough = len(chosen) >= scheme.min_rows and blocks >= scheme.min_blocks
        return enough and (self.recipe.degenerate == "prior" or not self.one_class(chosen))

    def one_class(self, rows: NDArray[np.intp]) -> bool:
        """True where a classifier would learn from rows of one class alone."""
        return self.recipe.task == "classification" and len(np.unique(self.rows.target[rows])) < 2

    def column_fits(self, context: Context) -> dict[LeftOut, list[int]]:
        """The fits of a column and the parts that each predicts, whether they can be made or not."""
        wanted: dict[LeftOut, list[int]] = {}
        for part in sorted(self.data.rows):
            wanted.setdefault(column_fit(part, self.cut, context), []).append(part)
        return wanted

    def possible(self, fits: Mapping[LeftOut, list[int]]) -> dict[LeftOut, list[int]]:
        """Those fits that have enough rows; the contexts that they read must be prepared."""
        return {left_out: parts for left_out, parts in fits.items() if self.exists(left_out)}

    def fingerprint(self, left_out: LeftOut, results: Results) -> tuple[str, BlobPointer | None]:
        """A fit's fingerprint and its stored model: as the champion's document has it, else as it would be made now."""
        if self.base is not None:
            return self.base.fingerprint(left_out, results)
        recorded = self.recorded.get(str(left_out))
        if recorded is not None:
            if str(left_out) in self.remade:
                return self._known(self.evidence.fit(left_out), results)
            pointer = recorded.get("model")
            if pointer is not None and str(left_out) not in self.damaged:
                return recorded["fingerprint"], BlobPointer.from_json(pointer)
            now = self.evidence.fit(left_out)
            if now == recorded["fingerprint"] or results.find("fit", recorded["fingerprint"]) is None:
                return self._known(now, results)
            return self._known(recorded["fingerprint"], results)
        return self._known(self.evidence.fit(left_out), results)

    def pieces(self, left_out: LeftOut, fingerprint: str, parts: Iterable[int]) -> tuple[Piece, ...]:
        """The column pieces of a fit, by fingerprint."""
        evidence = self.evidence
        return tuple(
            Piece(part=part, fingerprint=evidence.column(fingerprint, left_out, part)) for part in parts
        )

    def served(self, left_out: LeftOut, parts: Sequence[int]) -> Sequence[int]:
        """What a fit predicts once it is asked for these parts."""
        if not isinstance(left_out, Folds):
            return parts
        # whoever asks first has all folds predicted: M(a, {1, 2}) serves two columns and is made once
        # (and the fold on which the shipped fit will be compared with it)
        compared = shift_fits(self).get(left_out, ()) if self.side == "challenger" else ()
        folds = left_out.folds.union(compared)
        return sorted({*parts, *(fold for fold in folds if fold in self.data.rows)})

    def task(
        self,
        left_out: LeftOut,
        parts: Sequence[int],
        kind: FitKind,
        results: Results,
        *,
        keep_model: bool = False,
        keep_made: bool = False,
    ) -> tuple[FitTask | None, tuple[Piece, ...]]:
        """The task that is still to be done for these pieces (None: all is in the store), and the pieces.

        With `keep_model` the fit's model is a part of it; with `keep_made` it is kept if it is made anyway.
        """
        parts = self.served(left_out, parts)
        fingerprint, model = self.fingerprint(left_out, results)
        self.made[str(left_out)] = fingerprint
        pieces = self.pieces(left_out, fingerprint, parts)
        lacking = lacking_pieces(pieces, results)
        if not lacking and (model is not None or not keep_model):
            return None, pieces
        if model is None and fingerprint != self.evidence.fit(left_out):
            # the recorded fit cannot be made again from today's rows: make today's instead
            fingerprint = self.evidence.fit(left_out)
            self.made[str(left_out)] = fingerprint
            self.remade.add(str(left_out))
            pieces = lacking = self.pieces(left_out, fingerprint, parts)
        keep = keep_model or keep_made
        task = FitTask(
            id=digest_of(
                [
                    fingerprint,
                    [piece.fingerprint for piece in lacking],
                    keep,
                    None if model is None else model.digest,
                ]
            ),
            node=self.node,
            kind=kind,
            recipe=self.recipe,
            classes=self.data.classes,
            left_out=left_out,
            fingerprint=fingerprint,
            pieces=lacking,
            inputs=self.inputs[fit_context(left_out)],
            as_of=self.as_of,
            model=model,
            keep_model=keep and model is None,
            check_reload=left_out == shipped_fit(self),
        )
        return task, pieces

    def needs_model(self, left_out: LeftOut, parts: Sequence[int], results: Results) -> bool:
        """True where pieces of a fit are lacking and its model, which would predict them, is not in the store."""
        fingerprint, model = self.fingerprint(left_out, results)
        pieces = self.pieces(left_out, fingerprint, self.served(left_out, parts))
        return model is None and bool(lacking_pieces(pieces, results))

    def hand(self, piece: Handed) -> int:
        """The place of a piece among those that the candidate was judged by or handed down."""
        place = self.places.setdefault(piece.fingerprint, len(self.handed))
        if place == len(self.handed):
            self.handed.append(piece)
        return place

    def _known(self, fingerprint: str, results: Results) -> tuple[str, BlobPointer | None]:
        record = results.find("fit", fingerprint)
        return fingerprint, None if record is None else record.blob("model")


def lacking_pieces(pieces: Iterable[Piece], results: Results) -> tuple[Piece, ...]:
    """The pieces that the store does not have."""
    return tuple(piece for piece in pieces if results.find("column", piece.fingerprint) is None)


def gate_fits(candidate: Candidate) -> dict[LeftOut, list[int]]:
    """The fits that a challenger is judged by, and the parts that they predict for it.

    Time scheme: the fit before the holdout predicts the holdout. Fold scheme: each fold by the fit
    that left it out. Whether they can be made is asked by `Candidate.possible`.
    """
    if candidate.cut is None:
        return candidate.column_fits(frozenset())
    holdout = candidate.data.holdout
    return {Before(min(candidate.cut, holdout[0])): list(holdout)} if holdout else {}


def kept_fits(fits: Collection[LeftOut], keep: int | None) -> frozenset[LeftOut]:
    """The fits of a column whose models the manifest's `keep_fits` keeps: the newest so many, None: all.

    By folds none is newer, and only 0 keeps none: a champion needs its fits to predict rows that came since.
    """
    if keep == 0:
        return frozenset()
    blocks = sorted(one for one in fits if isinstance(one, Before))
    newest = blocks if keep is None else blocks[-keep:]
    return frozenset([*newest, *(one for one in fits if isinstance(one, Folds))])


def shipped_fit(candidate: Candidate) -> LeftOut:
    """What the shipped fit of a candidate leaves out."""
    return Folds(frozenset()) if candidate.cut is None else Before(candidate.cut)


def fresh_parts(candidate: Candidate) -> list[int]:
    """Blocks that no fit of this run learns from: the shipped fit predicts them for its readers."""
    if candidate.cut is None or candidate.data.next_block is None:
        return []
    return [part for part in sorted(candidate.data.rows) if part >= candidate.data.next_block]


def shift_fits(candidate: Candidate) -> dict[LeftOut, list[int]]:
    """The gate fits that the shipped fit is compared with, and the parts that both predict for it (docs/design.md 1).

    Time scheme: the fit before the holdout, on the holdout and on the rows after every fit. Fold scheme: each
    fold by the fit that left out the next one, so that both have learnt from it.
    """
    if candidate.cut is None:
        folds = candidate.recipe.scheme.folds if isinstance(candidate.recipe.scheme, FoldScheme) else 0
        return {
            Folds(frozenset({(fold + 1) % folds})): [fold]
            for fold in range(folds)
            if fold in candidate.data.rows and folds > 1
        }
    parts = sorted({*candidate.data.holdout, *fresh_parts(candidate)})
    return dict.fromkeys(gate_fits(candidate), parts)


def trained_labels(candidate: Candidate, left_out: LeftOut) -> NDArray[np.bool_]:
    """True for labelled rows of the node that a fit may learn from, whatever its upstream columns."""
    return candidate.rows.learnable(left_out)


def judged_rows(candidate: Candidate) -> NDArray[np.bool_]:
    """True for the rows of the holdout (fold scheme: all) whose label is known and counts."""
    rows = candidate.rows
    counting = rows.labelled if rows.weight is None else rows.labelled & (rows.weight > 0)
    if candidate.cut is None:
        return counting
    return counting & rows.known_now & np.isin(rows.part, candidate.data.holdout)


def row_counts(candidate: Candidate) -> dict[str, int]:
    """The rows in each state of design.md 1; those that lack an upstream column train nothing and judge nothing."""
    counts = dict(candidate.data.counts)
    shipped = shipped_fit(candidate)
    usable = candidate.usable.get(fit_context(shipped))
    if usable is None:
        return counts
    counts["trained"] = len(candidate.training_rows(shipped))
    counts["judged"] = int((judged_rows(candidate) & usable).sum())
    counts["no_upstream"] = int((~usable).sum())
    return counts


def block_days(candidate: Candidate) -> int:
    """The length of a candidate's blocks; 1 in the fold scheme, which has none."""
    scheme = candidate.recipe.scheme
    return scheme.block_days if isinstance(scheme, TimeScheme) else 1
