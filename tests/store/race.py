"""One of many processes that create the same keys; prints the rounds that it won.

Usage: race.py FOLDER NUMBER ROUNDS
"""

from __future__ import annotations

import sys
from pathlib import Path

from retraining.errors import AlreadyExistsError
from retraining.store.local import LocalObjects


def main() -> None:
    folder, number, rounds = sys.argv[1:]
    objects = LocalObjects(Path(folder))
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
