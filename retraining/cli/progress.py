"""What a person sees while a run goes on: a live view on a terminal, plain lines elsewhere, all on stderr.

The view says what the run tells it and decides nothing; with `--no-progress` nobody is told anything.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from retraining.cli.output import columns, say
from retraining.reporting.paint import Paint, plain, role_of_outcome
from retraining.reporting.text import shorten

if TYPE_CHECKING:
    from retraining.execution.driver import Progress
    from retraining.operations.session import Quiet, Session

__all__ = ["Judged", "PlainLines", "Silence", "View", "judged_word"]

_MOST_BECAUSE = 160
#: Where a sentence begins that has a line of its own, below the outcome.
_BELOW = "\n" + " " * len("00:00:00  ")


class Judged(Protocol):
    """What became of one node, as far as it is known when it is judged."""

    @property
    def node(self) -> str:
        """The node."""
        ...

    @property
    def outcome(self) -> str:
        """The word for it."""
        ...

    @property
    def because(self) -> str:
        """The sentence for it."""
        ...


class View(Protocol):
    """Who shows a run; every method is called by the run's thread."""

    def __enter__(self) -> View:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def begin(self, session: Session | Quiet) -> None:
        """The plan is made; training begins."""
        ...

    def progress(self, progress: Progress) -> None:
        """Something changed."""
        ...

    def judged(self, result: Judged) -> None:
        """A node was judged."""
        ...

    def say(self, text: str) -> None:
        """Show a line of text."""
        ...

    def leave(self) -> None:
        """Give the terminal back, also from another thread."""
        ...


class Silence:
    """Shows nothing but what must be said."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was begun."""

    def leave(self) -> None:
        """Nothing to give back."""

    def begin(self, session: Session | Quiet) -> None:
        """Nothing to show."""

    def progress(self, progress: Progress) -> None:
        """Nothing to show."""

    def judged(self, result: Judged) -> None:
        """Nothing to show."""

    def say(self, text: str) -> None:
        """Write the line."""
        say(text)


class PlainLines(Silence):
    """A line for each node that was judged and had something to be judged: time, node, outcome, because.

    Where it would be wider than its reader the sentence begins a line of its own.
    """

    def __init__(self, paint: Paint = plain) -> None:
        self._paint = paint

    def begin(self, session: Session | Quiet) -> None:
        """Name the plan in one line."""
        from retraining.reporting.plan_text import plan_summary

        self.say(f"{session.manifest.name}: {plan_summary(session.plan)}")

    def judged(self, result: Judged) -> None:
        """Write the node's line; a node that is kept is told at the end, with its like."""
        if result.outcome == "kept":
            return
        word = self._paint(role_of_outcome(result.outcome), judged_word(result.outcome).ljust(12))
        clock = time.strftime("%H:%M:%S")
        because = shorten(result.because, _MOST_BECAUSE)
        wide = len(f"{clock}  {'':12}  {result.node}  {because}") > columns()
        self.say(f"{clock}  {word}  {result.node}{_BELOW if wide else '  '}{because}")


def judged_word(outcome: str) -> str:
    """How an outcome is called before the release: a winner may still have to wait for its set."""
    return "won" if outcome == "promoted" else outcome
