"""An unchanged graph: how long `plan` takes to say that there is nothing to do, by the number of nodes."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_many_models import write_data

from retraining.operations.run import RunOptions, run


def main() -> None:
    """Releases once, then times whole `retrain plan` processes on the unchanged data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[100, 500])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    for models in arguments.models:
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            write_data(folder, models, rows=60)
            store = str(folder / "store")
            run(folder / "manifest.yaml", store=store, max_fits=10**7, options=RunOptions(backend="serial"))
            time.sleep(3)  # a file that was just written is not trusted by its metadata
            command = [
                sys.executable,
                "-m",
                "retraining",
                "plan",
                str(folder / "manifest.yaml"),
                "--store",
                store,
            ]
            found = []
            for _ in range(arguments.repeats + 1):
                start = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                found.append(time.perf_counter() - start)
            print(
                f"{models:>6} nodes: first {found[0]:.2f} s, then median {statistics.median(found[1:]):.2f} s"
            )


if __name__ == "__main__":
    main()
