"""Exports a release, or a node of it with its ancestors, as files that need nothing of the store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retraining.errors import InputError
from retraining.learn.persistence import JOBLIB_FORMAT
from retraining.manifest.values import Json
from retraining.prediction.exporting import check_place, export_files, write_export
from retraining.prediction.past import History
from retraining.prediction.releases import open_store
from retraining.release.values import BlobPointer
from retraining.store.cloud.addresses import is_bucket_url

__all__ = ["ExportSummary", "export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What was exported: the release, the model or node (None: every node), where, how many files and bytes.

    `joblib` names the nodes whose models run code when they are loaded.
    """

    release: int
    target: str | None
    nodes: tuple[str, ...]
    joblib: tuple[str, ...]
    output: Path
    files: int
    bytes: int

    def text(self) -> str:
        """What was written, for people."""
        what = f"{self.target} of release {self.release}" if self.target else f"release {self.release}"
        nodes = f"{len(self.nodes)} node{'' if len(self.nodes) == 1 else 's'}"
        lines = [f"{what}: {nodes}, {self.files} files, {self.bytes:,} bytes, written to {self.output}"]
        if self.joblib:
            lines.append(f"  stored by joblib, which runs code when it is loaded: {', '.join(self.joblib)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Json]:
        """The same as JSON values."""
        return {
            "release": self.release,
            "target": self.target,
            "nodes": list(self.nodes),
            "joblib": list(self.joblib),
            "output": str(self.output),
            "files": self.files,
            "bytes": self.bytes,
            "mlflow": None,
        }


def export(
    store: str,
    output: str | Path,
    target: str | None = None,
    release: int | None = None,
    *,
    history: History = "recorded",
) -> ExportSummary:
    """Writes the release (None: the newest) to a new folder or .zip, or of it a model or node and what it reads.

    With `history="shipped"` recorded columns and block fits stay behind. Nothing of a model is run, so nothing need
    be allowed. Raises InputError for names and places, StoreError for the store.
    """
    if is_bucket_url(str(output)):
        raise InputError(
            f"{output}: an export is a folder or a .zip here, not in a bucket",
            "write -o RELEASE.zip and copy it there",
        )
    path = Path(output)
    check_place(path)
    releases = open_store(store)
    chosen = releases.current() if release is None else releases.release(release)
    files = export_files(chosen, target, history)
    write_export(files, path)
    nodes = tuple(chosen.versions(target))
    return ExportSummary(
        release=chosen.number,
        target=target,
        nodes=nodes,
        joblib=tuple(node for node in nodes if _is_joblib(chosen.state(node).artifact)),
        output=path,
        files=len(files),
        bytes=sum(map(len, files.values())),
    )


def _is_joblib(pointer: BlobPointer | None) -> bool:
    return pointer is not None and pointer.format == JOBLIB_FORMAT
