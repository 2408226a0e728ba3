"""What a check of a store found, as a document and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retraining.manifest.values import Json
from retraining.reporting.paint import Paint, plain
from retraining.reporting.text import format_size, plural

__all__ = ["Finding", "Soundness", "soundness_text"]

_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An object that is missing or damaged: why, what needs it, and what helps.

    `kind` is what it is for: `log`, `release`, `attempt`, `record` (of a run), `feedback`, `cache` or
    `history`.
    """

    key: str
    kind: str
    missing: bool
    because: str
    node: str
    releases: Sequence[int]
    remedy: str

    def to_json(self) -> dict[str, Json]:
        """The finding as a document."""
        return {
            "key": self.key,
            "kind": self.kind,
            "missing": self.missing,
            "because": self.because,
            "node": self.node,
            "releases": [*self.releases],
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Soundness:
    """What was read of a store, and everything that was wrong with it."""

    store: str
    everything: bool
    entries: int
    signed: int
    releases: Sequence[int]
    blobs: int
    bytes: int
    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """0 where all is well, 1 where something is missing or damaged."""
        return 1 if self.findings else 0

    def to_json(self) -> dict[str, Json]:
        """The check as a document."""
        return {
            "store": self.store,
            "sound": not self.findings,
            "everything": self.everything,
            "entries": self.entries,
            "signed": self.signed,
            "releases": [*self.releases],
            "blobs": self.blobs,
            "bytes": self.bytes,
            "damages": [finding.to_json() for finding in self.findings],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched:
    """A log entry that a signature vouches for; `signed` says whether it had one of its own."""

    entry: int
    time: str
    who: str
    what: str
    signed: bool

    def to_json(self) -> dict[str, Json]:
        """The entry as a document."""
        return {
            "entry": self.entry,
            "time": self.time,
            "who": self.who,
            "what": self.what,
            "signed": self.signed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """The log entry that was made to vouch for others, newest first, and for so many batches of late labels."""

    entry: int
    entries: tuple[Vouched, ...]
    batches: int = 0


def soundness_text(found: Soundness, signature: Signature | None = None, *, paint: Paint = plain) -> str:
    """The check for people: each object that is damaged or missing, what needs it, what helps.

    `signature` was made to vouch for all of it, None for none.
    """
    lines = []
    for finding in found.findings[:_SHOWN]:
        word = "missing" if finding.missing else "damaged"
        lines.append(f"{paint('bad', word)}  {finding.because}")
        needed = _needed(finding)
        if needed:
            lines.append(f"  needed by {needed}")
        lines.append(f"  next: {finding.remedy}")
    if len(found.findings) > _SHOWN:
        lines.append(f"and {len(found.findings) - _SHOWN:,} more: --format json has all")
    signed = f", {found.signed:,} of them signed" if found.signed else ""
    entries = f"{found.entries:,} log entr{'y' if found.entries == 1 else 'ies'}{signed}"
    read = f"{entries}, {plural(len(found.releases), 'release')}, {plural(found.blobs, 'blob')}, "
    lines.append(
        f"read {read}{format_size(found.bytes)}{'' if found.everything else ' (--released: no caches, no history)'}"
    )
    if found.findings:
        keys = len({finding.key for finding in found.findings})
        lines.append(paint("bad", f"{plural(keys, 'object')} missing or damaged"))
    else:
        lines.append(paint("good", "everything is as its record says"))
    if signature is not None:
        lines += _signed(signature)
    return "\n".join(lines) + "\n"


def _signed(signature: Signature) -> list[str]:
    """What a signature vouches for: every entry that it makes trusted, the newest ones named."""
    batches = (
        f", and for {plural(signature.batches, 'batch', 'batches')} of late labels"
        if signature.batches
        else ""
    )
    lines = [f"signed: log entry {signature.entry} vouches for all entries before it{batches}:"]
    for one in signature.entries[:_SHOWN]:
        mark = "" if one.signed else ", was not signed"
        lines.append(f"  {one.entry}  {one.what}, {one.time[:10]} by {one.who}{mark}")
    if len(signature.entries) > _SHOWN:
        lines.append(f"  and {len(signature.entries) - _SHOWN:,} older: --format json has all")
    return lines


def _needed(finding: Finding) -> str:
    words = [finding.node] if finding.node else []
    if finding.kind == "attempt":
        words.append("its last attempt")
    elif finding.releases:
        first, last = min(finding.releases), max(finding.releases)
        words.append(f"release {first}" if first == last else f"releases {first} to {last}")
    return ", ".join(words)
