"""Prints one of the README's two commands, so that CI runs what a stranger reads: `run` or `test`."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def command(name: str) -> str:
    """The shell text between the markers `<!-- command: NAME -->` and the end of the code block after it."""
    text = Path(__file__).resolve().parent.parent.joinpath("README.md").read_text()
    found = re.search(rf"<!-- command: {re.escape(name)} -->\s*```(?:bash|sh)\n(.*?)```", text, re.DOTALL)
    if found is None:
        raise SystemExit(f"README.md has no command {name!r}")
    return found.group(1).strip()


if __name__ == "__main__":
    print(command(sys.argv[1]))
