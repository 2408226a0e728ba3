"""Whether a release's training rows were fed honestly, decided from recorded facts alone.

For every row that a fit learnt from, and every prediction that fed it, over any number of edges: no fit
behind the prediction saw the row's label or a later one (time scheme: every label behind it was known
when the row was decided; fold scheme: none is of the row's fold), and the prediction existed when the
row was decided. A fit stands *behind* a prediction if it made it, or made what that fit learnt from or
what it was shown to predict. What the records do not tell is no proof, and is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from retraining.decide.calendar import moment
from retraining.decide.findings import Audit, Gap, Leak, Violation
from retraining.decide.fits import fit_context, parse_left_out
from retraining.decide.lineage import FedCell, Feed, Handed, Lineage, Trained

#: How many findings of one kind at one edge are told one by one.
_TOLD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A released version: its lineage by digest (None: it was made before there were any), its recipe's inputs."""

    node: str
    version: str
    lineage: str | None
    shipped: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The labels behind something: the latest moment (time scheme) or the folds, each with the fit that saw it."""

    known: int | None = None
    fit: str = ""
    folds: Mapping[int, str] = field(default_factory=dict)

    def __or__(self, other: _Seen) -> _Seen:
        later = other.known is not None and (self.known is None or other.known > self.known)
        folds = self.folds if not other.folds.keys() - self.folds.keys() else {**other.folds, **self.folds}
        return _Seen(other.known, other.fit, folds) if later else _Seen(self.known, self.fit, folds)


@dataclass(slots=True)
class _Behind:
    """For one lineage: what stands behind each of its pieces, in their order, and behind its fits by fingerprint."""

    pieces: list[_Seen]
    fits: Mapping[str, _Seen] = field(default_factory=dict)


def audit(roots: Sequence[Root], lineages: Mapping[str, Lineage]) -> Audit:
    """Checks the released versions against the lineages that stand behind them, by digest."""
    found = Audit(nodes=len(roots))
    behind: dict[str, _Behind] = {}
    edges: set[tuple[str, str]] = set()
    fits: set[tuple[str, str]] = set()
    for root in roots:
        if root.lineage is None:
            text = "it was made before lineage was recorded"
            found.gaps.append(Gap(node=root.node, version=root.version, text=text))
            continue
        _check_root(found, root, lineages.get(root.lineage))
        for digest in _upstreams_first(root.lineage, lineages):
            if digest in behind:
                continue
            one = lineages.get(digest)
            if one is None:
                behind[digest] = _Behind(pieces=[])
                continue
            found.versions += 1
            behind[digest] = _Examination(found, one, lineages, behind).examine()
            for feed in one.feeds:
                edges |= {(lineages[name].node, one.node) for name in feed.upstreams if name in lineages}
            for fingerprint, trained in one.fits.values():
                if trained is not None and (one.node, fingerprint) not in fits:
                    fits.add((one.node, fingerprint))
                    found.rows += trained.rows
    found.edges, found.fits = len(edges), len(fits)
    return found


def _check_root(found: Audit, root: Root, lineage: Lineage | None) -> None:
    """A released version is the one that its lineage speaks of, with the fit that ships."""
    if lineage is None:
        text = "its lineage is no longer in the store"
    elif (lineage.node, lineage.version) != (root.node, root.version):
        text = f"its lineage is of {lineage.node} {lineage.version}"
    elif lineage.inputs != root.inputs:
        text = f"its recipe reads {_listed(root.inputs)}, and its lineage tells of {_listed(lineage.inputs)}"
    elif root.shipped not in lineage.fits:
        text = f"its lineage does not tell of the fit that ships, {root.node} {root.shipped}"
    else:
        return
    found.gaps.append(Gap(node=root.node, version=root.version, text=text))


def _upstreams_first(root: str, lineages: Mapping[str, Lineage]) -> list[str]:
    """All lineages behind one, itself last; each after those that it names."""
    done: dict[str, None] = {}
    waiting: list[tuple[str, bool]] = [(root, False)]
    while waiting:
        digest, opened = waiting.pop()
        if digest in done:
            continue
        if opened or digest not in lineages:
            done[digest] = None
            continue
        waiting.append((digest, True))
        waiting += [(name, False) for name in lineages[digest].above]
    return list(done)


class _Examination:
    """The checks of one lineage, whose upstreams were examined before."""

    def __init__(
        self, found: Audit, lineage: Lineage, lineages: Mapping[str, Lineage], behind: Mapping[str, _Behind]
    ) -> None:
        self._found = found
        self._lineage = lineage
        self._lineages = lineages
        self._behind = behind
        self._time = lineage.scheme == "time"
        self._told: set[str] = set()
        self._feeds = {(feed.context, feed.column): feed for feed in lineage.feeds}
        self._fed: dict[tuple[frozenset[int] | None, str], dict[int, _Seen]] = {}
        self._by_fingerprint = {
            fingerprint: (left_out, trained) for left_out, (fingerprint, trained) in lineage.fits.items()
        }

    def examine(self) -> _Behind:
        """What stands behind the pieces; every check that fails is added to what was found."""
        if any(name not in self._lineages for name in self._lineage.above):
            self._miss("a lineage that it names is no longer in the store")
        for key, feed in self._feeds.items():
            self._fed[key] = self._examine_feed(feed)
        learnt = {left_out: self._learnt(left_out) for left_out in self._lineage.fits}
        pieces = [self._examine_piece(piece, learnt) for piece in self._lineage.pieces]
        fits = {self._lineage.fits[left_out][0]: seen for left_out, seen in learnt.items()}
        return _Behind(pieces=pieces, fits=fits)

    # -- an input's cells --------------------------------------------------------------------------

    def _examine_feed(self, feed: Feed) -> dict[int, _Seen]:
        """What stands behind the column on each block or fold, after its cells were checked."""
        fed: dict[int, _Seen] = {}
        rows: dict[int, int] = {}
        readers = self._fits_by_part(feed)
        for cell in feed.cells:
            self._found.cells += 1
            rows[cell.part] = rows.get(cell.part, 0) + cell.rows
            piece = self._piece(feed, cell)
            if piece is None:
                self._miss(
                    f"{feed.column} has {cell.rows:,} predictions in {self._cell(cell)} of which no record "
                    "tells the fit"
                )
                continue
            name, seen = piece
            fed[cell.part] = fed.get(cell.part, _Seen()) | seen
            self._check_label(feed, cell, name, seen, readers.get(cell.part, ()))
            if cell.gap is not None and cell.gap > 0:
                self._leak(
                    "availability",
                    feed,
                    name,
                    self._cell(cell),
                    readers.get(cell.part, ()),
                    f"predictions of {name} were read up to {_duration(cell.gap)} before they could exist",
                )
        for part, (reading, _) in feed.rows.items():
            told = rows.get(part, 0)
            # the cells of an aggregate count the rows that were read, those of others the rows that read
            if bool(told) != bool(reading) if feed.kind == "group" else told != reading:
                self._miss(
                    f"{feed.column} was read by {reading:,} rows of {self._part(part)}, and {told:,} are told"
                )
        return fed

    def _check_label(
        self, feed: Feed, cell: FedCell, upstream: str, seen: _Seen, readers: Sequence[str]
    ) -> None:
        if self._time:
            if cell.decided_from is None:
                self._miss(f"{feed.column}: {self._cell(cell)} does not tell when its rows were decided")
            elif seen.known is not None and seen.known > cell.decided_from:
                text = (
                    f"fed by {seen.fit}, which saw labels known until {_when(seen.known)}, when rows were "
                    f"decided from {_when(cell.decided_from)} on"
                )
                self._leak("label", feed, upstream, self._cell(cell), readers, text)
        elif cell.part in seen.folds:
            text = f"fed by {seen.folds[cell.part]}, which saw labels of the rows' own fold"
            self._leak("label", feed, upstream, self._cell(cell), readers, text)

    def _piece(self, feed: Feed, cell: FedCell) -> tuple[str, _Seen] | None:
        """The upstream node of a cell and what stands behind the piece that fed it."""
        if not 0 <= cell.upstream < len(feed.upstreams):
            return None
        digest = feed.upstreams[cell.upstream]
        lineage = self._lineages.get(digest)
        if lineage is None or not 0 <= cell.piece < len(self._behind[digest].pieces):
            return None
        return lineage.node, self._behind[digest].pieces[cell.piece]

    def _fits_by_part(self, feed: Feed) -> dict[int, list[str]]:
        readers: dict[int, list[str]] = {}
        for left_out, (_, trained) in self._lineage.fits.items():
            if trained is not None and fit_context(parse_left_out(left_out)) == feed.context:
                for part in trained.parts:
                    readers.setdefault(part, []).append(left_out)
        return readers

    # -- fits and pieces ---------------------------------------------------------------------------

    def _learnt(self, left_out: str) -> _Seen:
        """What stands behind a fit: its own labels, and what fed the rows that it learnt from."""
        fingerprint, trained = self._lineage.fits[left_out]
        name = f"{self._lineage.node} {left_out}"
        base = self._behind.get(self._lineage.base) if self._lineage.base is not None else None
        if base is not None and fingerprint in base.fits:
            return base.fits[fingerprint]  # what fed it when it learnt is told there
        if trained is None:
            self._miss(f"the record of the fit {name} does not tell what it learnt from")
            return _Seen()
        if self._time and trained.known_through is None:
            self._miss(f"the record of the fit {name} does not tell when its labels were known")
        if sum(trained.parts.values()) != trained.rows:
            self._miss(f"the record of the fit {name} contradicts itself: its parts do not hold its rows")
        seen = (
            _Seen(trained.known_through, name)
            if self._time
            else _Seen(folds=dict.fromkeys(trained.parts, name))
        )
        for column, feed, fed in self._inputs(left_out):
            if feed is None:
                self._miss(f"no record tells what fed {column} of the fit {name}")
                continue
            self._check_rows(name, column, feed, trained)
            for part in trained.parts:
                seen |= fed.get(part, _Seen())
        return seen

    def _check_rows(self, name: str, column: str, feed: Feed, trained: Trained) -> None:
        """Every row that a fit learnt from is one of those whose source is recorded."""
        for part, rows in trained.parts.items():
            reading, without = feed.rows.get(part, (0, 0))
            if rows > reading + without:
                self._miss(
                    f"the fit {name} learnt from {rows:,} rows of {self._part(part)}, and the record of "
                    f"{column} has {reading + without:,}"
                )

    def _examine_piece(self, piece: Handed, learnt: Mapping[str, _Seen]) -> _Seen:
        """What stands behind a piece, after it was compared with the rows that it predicts."""
        self._found.predictions += 1
        left_out, trained = self._by_fingerprint.get(piece.fit, ("", None))
        if not left_out:
            self._miss(f"no record tells of the fit that predicted {self._part(piece.part)}")
            return _Seen()
        seen = learnt[left_out]
        for _, _, fed in self._inputs(left_out):
            seen |= fed.get(piece.part, _Seen())
        where, own = self._part(piece.part, piece.decided_from), f"{self._lineage.node} {left_out}"
        if piece.keys is None:
            self._miss(
                f"the record of {self._lineage.node}'s predictions of {where} does not tell their rows"
            )
        elif not self._time:
            if piece.part in seen.folds:
                text = f"predicted by {own}, behind which {seen.folds[piece.part]} saw its labels"
                self._leak("label", None, None, where, (left_out,), text)
        elif piece.decided_from is not None:
            learnt_until = trained.decided_through if trained is not None else None
            if seen.known is not None and seen.known > piece.decided_from:
                text = (
                    f"predicted by {own}, behind which {seen.fit} saw labels known until "
                    f"{_when(seen.known)}, when rows were decided from {_when(piece.decided_from)} on"
                )
                self._leak("label", None, None, where, (left_out,), text)
            elif learnt_until is not None and learnt_until >= piece.decided_from:
                text = f"predicted by {own}, which learnt from rows decided until {_when(learnt_until)}"
                self._leak("label", None, None, where, (left_out,), text)
        return seen

    def _inputs(self, left_out: str) -> Iterable[tuple[str, Feed | None, Mapping[int, _Seen]]]:
        context = fit_context(parse_left_out(left_out))
        for column in self._lineage.inputs:
            yield column, self._feeds.get((context, column)), self._fed.get((context, column), {})

    # -- words -------------------------------------------------------------------------------------

    def _leak(
        self,
        leak: Leak,
        feed: Feed | None,
        upstream: str | None,
        cell: str,
        readers: Sequence[str],
        text: str,
    ) -> None:
        column = None if feed is None else feed.column
        self._found.violations.append(
            Violation(
                leak=leak,
                node=self._lineage.node,
                version=self._lineage.version,
                upstream=upstream,
                column=column,
                cell=cell,
                fit=_listed(readers) if readers else "",
                text=text,
            )
        )

    def _miss(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._found.gaps.append(Gap(node=self._lineage.node, version=self._lineage.version, text=text))

    def _cell(self, cell: FedCell) -> str:
        return self._part(cell.part, cell.decided_from)

    def _part(self, part: int, decided_from: int | None = None) -> str:
        if not self._time:
            return f"fold {part}"
        return f"block {part}" + ("" if decided_from is None else f" (from {_when(decided_from)[:10]})")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_TOLD])
    return f"{shown} and {len(names) - _TOLD} more" if len(names) > _TOLD else shown or "nothing"


def _when(micros: int) -> str:
    if micros >= 2**62:
        return "nobody knows when"
    return moment(micros).strftime("%Y-%m-%d %H:%M:%S")


def _duration(micros: int) -> str:
    minutes = max(micros // 60_000_000, 0)
    if not minutes:
        return f"{micros / 1_000_000:g} s"
    days, rest = divmod(minutes, 24 * 60)
    hours, left = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (left, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
