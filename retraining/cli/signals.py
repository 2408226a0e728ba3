"""Ctrl-C and SIGTERM during a run: stop in seconds, lose no finished fit, never break a commit.

The first signal asks the run to stop: it starts nothing more, keeps what is finished, and gives up what
is not. A fit that runs in this process (the serial backend) and is not done by the end of the grace, or
at a second signal, is left by a KeyboardInterrupt, which the task body turns into the end of its batch.
A third signal ends the process at once; the store is made for that.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stopper"]

#: How long a fit in this process may go on after the first signal.
GRACE_SECONDS = 3.0
#: How long after that a fit may stay in compiled code that no exception reaches.
STUCK_SECONDS = 7.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED = 130


class Stopper:
    """The handlers of one run, installed inside `with`; to be used by the main thread.

    `announce` is told in a few words what a signal does. Before `begin` there is nothing to lose, so
    that a signal is a plain KeyboardInterrupt.
    """

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._begun = False
        self._asked = 0
        self._fitting = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Stopper:
        """Install the handlers, where this thread may."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGALRM)}
            self._install()
        return self

    def __exit__(self, *_: object) -> None:
        """Put back what was there."""
        if self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def begin(self) -> None:
        """From here on a signal stops the run and no longer the process."""
        self._begun = True

    def asked(self) -> bool:
        """Whether the run should stop; the driver asks at every turn."""
        if self._before and signal.getsignal(signal.SIGTERM) != self._handle:
            # Ray replaces the handler of SIGTERM when it starts (facts/ray.md 2.5)
            self._install()
        return self._asked > 0

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Around a fit in this process: only here a signal may raise."""
        self._fitting = True
        try:
            yield
        finally:
            self._fitting = False

    def _install(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._handle)
        signal.signal(signal.SIGALRM, self._ring)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if not self._begun:
            raise KeyboardInterrupt
        self._asked += 1
        if self._asked == 1:
            name = signal.Signals(number).name
            self._announce(f"{name}: stopping; what is finished is kept")
            signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS, 0.5)
            threading.Thread(target=self._watch, daemon=True).start()
        elif self._asked == 2 and self._fitting:
            raise KeyboardInterrupt
        elif self._asked > 2:
            os._exit(_INTERRUPTED)

    def _ring(self, _: int, __: FrameType | None) -> None:
        # it rings again: an exception that is raised inside a callback of a C library is lost
        if self._fitting:
            raise KeyboardInterrupt

    def _watch(self) -> None:
        """End the process where a fit stays in compiled code: its batch is lost, and made again next time."""
        threading.Event().wait(GRACE_SECONDS + STUCK_SECONDS)
        if self._fitting:
            self._announce("a fit could not be interrupted; leaving without it")
            os._exit(_INTERRUPTED)
