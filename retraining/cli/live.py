"""The live view of a run on a terminal: nodes judged, fits done, who is running, how long it has taken and will."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from retraining.cli.progress import Judged, judged_word
from retraining.reporting.grouping import list_nodes
from retraining.reporting.outcomes import order_of_outcome
from retraining.reporting.paint import Role, role_of_outcome
from retraining.reporting.plan_text import plan_summary
from retraining.reporting.text import format_duration, shorten

if TYPE_CHECKING:
    from retraining.execution.driver import Progress
    from retraining.operations.session import Quiet, Session

__all__ = ["LiveView"]

_STYLES: dict[Role, str] = {
    "good": "green",
    "bad": "bold red",
    "look": "yellow",
    "quiet": "dim",
    "name": "cyan",
    "title": "bold",
}
_BAR_WIDTH = 40
#: Before so much of the work is done, what is left is not guessed.
_FIRST_GUESS = 0.05


class LiveView:
    """A few lines at the bottom of the terminal, redrawn four times a second; what needs a look scrolls by above."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = time.monotonic()
        self._nodes = 0
        self._judged = 0
        self._expected = 0
        self._done = 0
        self._running: tuple[str, ...] = ()
        self._counts: dict[str, int] = {}
        self._live: Live | None = None

    def __enter__(self) -> LiveView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the lines away; the result follows on stdout."""
        self.leave()

    def leave(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()

    def begin(self, session: Session | Quiet) -> None:
        """Show the plan in one line, and begin to redraw; a tick may have several runs, one after the other."""
        self.leave()
        self._judged = self._done = 0
        self._running, self._counts = (), {}
        self.say(f"{session.manifest.name}: {plan_summary(session.plan)}")
        self._nodes = len(session.plan.decisions)
        # every node that is judged has one task more, which scores it
        comparisons = sum(decision.comparisons for decision in session.plan.active)
        self._expected = session.plan.fits[1] + comparisons + len(session.plan.active)
        if session.plan.active:
            self._live = Live(
                console=self._console, get_renderable=self._draw, refresh_per_second=4, transient=True
            )
            self._live.__enter__()

    def progress(self, progress: Progress) -> None:
        """Take note; the next redraw shows it."""
        self._nodes, self._judged = progress.nodes, progress.judged
        self._running = progress.running
        self._done = progress.tasks_done
        self._expected = max(self._expected, progress.tasks_done + progress.tasks_waiting)

    def judged(self, result: Judged) -> None:
        """Count the outcome; what needs a look is said at once."""
        word = judged_word(result.outcome)
        self._counts[result.outcome] = self._counts.get(result.outcome, 0) + 1
        if result.outcome not in ("promoted", "kept"):
            text = Text()
            text.append(word, style=_STYLES[role_of_outcome(result.outcome)])
            text.append(f" {result.node}  ", style="cyan")
            text.append(shorten(result.because, 160), style="dim")
            self._console.print(text)

    def say(self, text: str) -> None:
        """Show a line above the view."""
        self._console.print(text, markup=False, highlight=False)

    def _draw(self) -> RenderableType:
        elapsed = time.monotonic() - self._started
        share = min(1.0, self._done / self._expected) if self._expected else 0.0
        table = Table.grid(padding=(0, 1))
        counts = sorted(self._counts.items(), key=lambda item: order_of_outcome(item[0]))
        words = Text(", ").join(
            Text(f"{number} {judged_word(word)}", style=_STYLES[role_of_outcome(word)])
            for word, number in counts
        )
        table.add_row("nodes", self._bar(self._judged, self._nodes), f"{self._judged}/{self._nodes}", words)
        left = (
            f", about {format_duration(elapsed * (1 - share) / share)} left" if share > _FIRST_GUESS else ""
        )
        table.add_row(
            "tasks",
            self._bar(self._done, self._expected),
            f"{self._done}/{self._expected}",
            f"{format_duration(round(elapsed))}{left}",
        )
        running = list_nodes(self._running, most=6) if self._running else "…"
        line = Text.assemble(("running ", "dim"), (running, "cyan"), no_wrap=True, overflow="ellipsis")
        return Group(table, line)

    def _bar(self, done: int, total: int) -> ProgressBar:
        return ProgressBar(total=max(total, 1), completed=min(done, total), width=_BAR_WIDTH)
