"""The command line: one file for each verb, and everything that they share.

Importing this package imports click and nothing heavy; what a verb needs is imported when it runs.
Results go to stdout, progress and logs to stderr, and no bad input ends in a traceback.
"""

from __future__ import annotations

from retraining.cli.entry import main

__all__ = ["main"]
