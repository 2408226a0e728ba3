"""The command line: one file for each verb, and everything that they share.

Importing this package imports next to nothing, so that a Ctrl-C is answered from the first moment on;
what a verb needs is imported when it runs. Results go to stdout, progress and logs to stderr, and no bad
input ends in a traceback.
"""

from __future__ import annotations

import sys

from retraining.cli.signals import EarlyStop, Interrupted

__all__ = ["main"]


def main() -> None:
    """Runs the command of this process and ends it with its exit code."""
    early = EarlyStop()
    early.install()
    try:
        from retraining.cli.entry import run_process
    except Interrupted:
        sys.exit(early.exit_code)
    run_process(lambda: early.asked)
