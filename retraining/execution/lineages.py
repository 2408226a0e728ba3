"""The lineages of a run's candidates as bytes, each named by its digest: facts for `decide.audit`.

An upstream's lineage is made before its reader's, which names it; so the digest in a version document
pins everything that fed the version, through any number of edges.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from retraining.data.evidence import remapped
from retraining.decide.lineage import Feed, Lineage, Trained, lineage_from_json, trained_from_json
from retraining.errors import IntegrityError, NotFoundError
from retraining.execution.candidates import Candidate, Intake
from retraining.manifest.values import TimeScheme
from retraining.store.documents import digest_of
from retraining.store.objects import Objects
from retraining.store.packs import read_blobs, read_footer
from retraining.store.results import ResultIndex


class Lineages:
    """The lineages that have been made or taken along so far, by digest; each candidate's is made once.

    `gather` is called first, with every candidate whose lineage will be asked for.
    """

    def __init__(self, index: ResultIndex, objects: Objects) -> None:
        self._index = index
        self._objects = objects
        self._digests: dict[int, str] = {}
        self._places: dict[int, Mapping[int, int]] = {}
        self._above: dict[str, tuple[str, ...]] = {}
        self._packs: dict[str, Mapping[str, bytes]] = {}
        self.bodies: dict[str, bytes] = {}

    def gather(self, candidates: Iterable[Candidate]) -> None:
        """Tells each champion that is fed with other columns which of its fits were used for it."""
        waiting, seen = list(candidates), set()
        while waiting:
            candidate = waiting.pop()
            if id(candidate) in seen:
                continue
            seen.add(id(candidate))
            waiting += _above(candidate)
            if candidate.base is not None:
                candidate.base.made |= {**candidate.made, **candidate.base.made}

    def digest(self, candidate: Candidate) -> str:
        """The digest of a candidate's lineage, which is in `bodies` with all that it names."""
        waiting = [candidate]
        while waiting:  # not by recursion: a graph may have more levels than Python has frames
            one = waiting[-1]
            before = [other for other in _above(one) if id(other) not in self._digests]
            if before and id(one) not in self._digests:
                waiting += before
                continue
            waiting.pop()
            if id(one) not in self._digests:
                self._digests[id(one)] = self._keep(self._made(one))
        return self._digests[id(candidate)]

    def carry(self, digest: str, pack: str) -> str | None:
        """Takes a lineage along with all behind it from the pack of an earlier run; None where it is not there."""
        if digest in self._above:
            return digest
        if pack not in self._packs:
            self._packs[pack] = self._read(pack)
        waiting = [digest]
        while waiting:
            name = waiting.pop()
            body = self._packs[pack].get(name)
            if body is None or name in self._above:
                continue
            self.bodies[name] = body
            self._above[name] = lineage_from_json(json.loads(body)).above
            waiting += self._above[name]
        return digest if digest in self._above else None

    def _read(self, pack: str) -> Mapping[str, bytes]:
        """The lineages of a pack; none where it is damaged: that is found, and told, by who audits."""
        try:
            pointers = [
                pointer
                for record in read_footer(self._objects, pack)
                for pointer in record.blobs
                if pointer.role == "lineage"
            ]
            return {digest_of(body): body for body in read_blobs(self._objects, pointers)}
        except (IntegrityError, NotFoundError):
            return {}

    def behind(self, digest: str) -> tuple[str, ...]:
        """The digests of all lineages behind one, itself first."""
        found = {digest: None} if digest in self.bodies else {}
        waiting = [*found]
        while waiting:
            for name in self._above[waiting.pop()]:
                if name not in found and name in self.bodies:
                    found[name] = None
                    waiting.append(name)
        return tuple(found)

    def _keep(self, lineage: Lineage) -> str:
        body = json.dumps(lineage.to_json(), sort_keys=True, separators=(",", ":")).encode()
        digest = digest_of(body)
        self.bodies[digest] = body
        self._above[digest] = lineage.above
        return digest

    def _made(self, candidate: Candidate) -> Lineage:
        # in which order the pieces were asked for is chance: the lineage has them in an order of their own
        handed = candidate.handed
        order = sorted(
            range(len(handed)), key=lambda at: (handed[at].part, handed[at].fit, handed[at].fingerprint)
        )
        self._places[id(candidate)] = {old: new for new, old in enumerate(order)}
        base = self._base(candidate)
        return Lineage(
            node=candidate.node,
            version=candidate.version,
            scheme="time" if isinstance(candidate.recipe.scheme, TimeScheme) else "folds",
            inputs=tuple(item.column for item in candidate.recipe.inputs),
            fits={
                left_out: (fingerprint, self._trained(candidate, left_out, fingerprint, base))
                for left_out, fingerprint in candidate.made.items()
            },
            pieces=tuple(handed[at] for at in order),
            feeds=tuple(
                self._feed(column, None if context is None else frozenset(context), intake)
                for (context, column), intake in sorted(
                    candidate.intakes.items(), key=lambda one: (one[0][1], sorted(one[0][0] or ()))
                )
            ),
            base=base,
        )

    def _base(self, candidate: Candidate) -> str | None:
        """The lineage that tells what a champion's fits learnt from: its columns may be others by now."""
        if candidate.base is not None:
            return self._digests[id(candidate.base)]
        return None if candidate.told is None else self.carry(*candidate.told)

    def _trained(
        self, candidate: Candidate, left_out: str, fingerprint: str, base: str | None
    ) -> Trained | None:
        recorded = candidate.recorded.get(left_out)
        if base is None and recorded and recorded["fingerprint"] == fingerprint and candidate.recipe.inputs:
            return None  # a fit from before lineages were recorded: what fed it nobody knows
        return trained_by(candidate, left_out, fingerprint, self._index)

    def _feed(self, column: str, context: frozenset[int] | None, intake: Intake) -> Feed:
        return Feed(
            column=column,
            kind=intake.kind,
            context=context,
            upstreams=tuple(self._digests[id(upstream)] for upstream in intake.upstreams),
            cells=remapped(intake.cells, [self._places[id(upstream)] for upstream in intake.upstreams]),
            rows=intake.rows,
        )


def _above(candidate: Candidate) -> list[Candidate]:
    """The candidates whose lineages a candidate's names."""
    upstreams = [one for intake in candidate.intakes.values() for one in intake.upstreams]
    return upstreams if candidate.base is None else [candidate.base, *upstreams]


def trained_by(candidate: Candidate, left_out: str, fingerprint: str, index: ResultIndex) -> Trained | None:
    """What a fit learnt from, as its own record or the version document that names it has it; None: neither says."""
    record = index.find("fit", fingerprint)
    told = record.metrics.get("trained") if record is not None else None
    if told is None:
        recorded = candidate.recorded.get(left_out)
        told = recorded.get("trained") if recorded and recorded["fingerprint"] == fingerprint else None
    return trained_from_json(told) if isinstance(told, dict) else None
