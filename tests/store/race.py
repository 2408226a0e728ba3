"""Many processes that create the same keys; as a script one of them, which prints the rounds that it won.

Usage: race.py URL NUMBER ROUNDS
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from retraining.errors import AlreadyExistsError
from retraining.store.objects import open_objects


def race(url: str, processes: int, rounds: int) -> list[list[int]]:
    """The rounds that each process won."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    racers = [
        subprocess.Popen(
            [sys.executable, __file__, url, str(number), str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(processes)
    ]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * processes
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return [[int(line) for line in racer.communicate()[0].split()] for racer in racers]


def main() -> None:
    url, number, rounds = sys.argv[1:]
    objects = open_objects(url)
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(int(rounds)):
        try:
            objects.create(f"log/{turn}", number.encode())
        except AlreadyExistsError:
            continue
        print(turn, flush=True)


if __name__ == "__main__":
    main()
