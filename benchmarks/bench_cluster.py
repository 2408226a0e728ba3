"""Many small models on a cluster of several raylets on this machine, beside one process and one embedded node.

Every contender is the command `retrain run` on the manifest of bench_many_models.py, its start included; the
cluster is started once, before. Each node has one CPU, so on a machine with fewer cores than nodes a ratio says
nothing. All contenders must release the same (equal logical digests).
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench_many_models import write_data

from retraining.store.log import open_store

ROOT = Path(__file__).resolve().parents[1]
NODES = ROOT / "cluster" / "several_nodes.py"


def several_nodes(verb: str, folder: Path, *more: str) -> str:
    """What cluster/several_nodes.py prints."""
    command = [sys.executable, str(NODES), verb, str(folder), *more]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def timed(folder: Path, store: Path, options: Sequence[str], environment: dict[str, str]) -> float:
    """Seconds of one first run, from the command to its end."""
    command = [sys.executable, "-m", "retraining", "run", "manifest.yaml", "--store", str(store)]
    command += ["--max-fits", "10000000", "--no-progress", *options]
    start = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - start


def main() -> None:
    """Times all contenders in turn, several times, and prints medians and ratios to one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=2000)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write_data(folder, asked.models)
        try:
            said = several_nodes("start", folder / "nodes", "--nodes", str(asked.nodes))
            cluster = dict(re.findall(r"^export (\w+)=(.+)$", said, re.MULTILINE))
            contenders: dict[str, tuple[list[str], dict[str, str]]] = {
                "one process": (["--backend", "serial"], {}),
                "one embedded node, 1 CPU": (["--workers", "1"], {}),
                f"cluster, {asked.nodes} nodes": (["--address", cluster["RAY_ADDRESS"]], cluster),
            }
            seconds: dict[str, list[float]] = {name: [] for name in contenders}
            digests = set()
            for repeat in range(asked.repeats):
                for number, (name, (options, environment)) in enumerate(contenders.items()):
                    store = folder / f"store-{repeat}-{number}"
                    seconds[name].append(timed(folder, store, options, environment))
                    digests.add(open_store(str(store)).read_head().logical())
        finally:
            several_nodes("stop", folder / "nodes")
    assert len(digests) == 1, "contenders released different things"
    one = statistics.median(seconds["one process"])
    print(f"{asked.models} models, {asked.repeats} repeats, {os.cpu_count()} cores: median seconds and ratio")
    for name, found in seconds.items():
        print(f"  {name:<26}{statistics.median(found):8.1f} s {statistics.median(found) / one:7.2f}")


if __name__ == "__main__":
    main()
