"""An unchanged graph of very many nodes: CPU seconds and requests of `retrain plan`, the first one and the next.

No model is trained: the store is filled with the states that a release of all nodes would leave.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_many_models import MANIFEST, write_data

from retraining.decide.facts import shipped_left_out
from retraining.operations.observe import leave_hint
from retraining.operations.session import Request, Session, open_session
from retraining.release.update import Update
from retraining.release.values import Attempt, BlobPointer, NodeState, Parts
from retraining.store.log import open_store

RUN = "1795000000000-00c0ffee"


def pointer(role: str) -> BlobPointer:
    """A pointer that is never followed."""
    return BlobPointer(
        pack=f"packs/{RUN}/000001-1",
        role=role,
        format="none",
        digest="sha256:" + "0" * 64,
        offset=0,
        stored=1,
        raw=1,
        codec="none",
    )


def states(session: Session) -> dict[str, NodeState]:
    """What the store would remember of all nodes after a first release."""
    found = {}
    for name, facts in session.facts.items():
        shipped = shipped_left_out(facts.recipe, facts.data)
        parts = Parts(
            recipe=facts.recipe.digest(),
            data=facts.data.slice_digest(shipped, facts.recipe.first_block(shipped)),
            upstream={},
            environment=session.environment,
        )
        attempt = Attempt(
            fingerprint="sha256:" + "1" * 64,
            outcome="promoted",
            because="first release",
            run=RUN,
            time="2026-01-01T00:00:00Z",
            parts=parts,
            version="v",
            document=pointer("version"),
        )
        found[name] = NodeState(
            node=name,
            version="v",
            parts=parts,
            document=pointer("version"),
            artifact=pointer("model"),
            attempt=attempt,
            seconds=0.1,
            fits=6,
        )
    return found


def fill(folder: Path, nodes: int) -> None:
    """A manifest with so many partitions, its data, and a store in which all are released."""
    write_data(folder, nodes, rows=12)
    text = MANIFEST.replace("{min_rows: 50}", "{min_rows: 10, max: 1000000}")
    (folder / "manifest.yaml").write_text(text)
    os.utime(folder / "rows.parquet", (1.7e9, 1.7e9))
    request = Request(manifest=folder / "manifest.yaml", store=str(folder / "store"))
    session = open_session(request, dt.datetime.now(dt.UTC), create_store=False)
    store = open_store(str(folder / "store"), create=True)
    leave_hint(session.observation, store)
    store.commit(
        Update(set=states(session)),
        [],
        kind="release",
        run=RUN,
        who="bench",
        why={},
        manifest={"name": "many", "digest": "none", "timezone": "UTC"},
        now="2026-01-01T00:00:00Z",
        start=session.head,
    )


def planned(folder: Path) -> tuple[float, float]:
    """The CPU and wall seconds of one plan in a process of its own."""
    command = [sys.executable, "-m", "retraining", "plan", str(folder / "manifest.yaml")]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run([*command, "--store", str(folder / "store")], check=True, capture_output=True)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Prints the seconds of the first plan and of the next ones, by the number of nodes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[5_000])
    arguments = parser.parse_args()
    for nodes in arguments.nodes:
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            fill(folder, nodes)
            first, *more = [planned(folder) for _ in range(4)]
            cpu, wall = min(more)
            print(
                f"{nodes:>7,} nodes: first plan {first[0]:.1f} s of CPU, then {cpu:.2f} s ({wall:.2f} s in all)"
            )


if __name__ == "__main__":
    main()
