"""Ctrl-C and SIGTERM during a run: stop in seconds, lose no finished fit, never break a commit.

The first signal asks the run to stop: it starts nothing more, keeps what is finished, and gives up what
is not. A fit that runs in this process (the serial backend) and is not done by the end of the grace, or
at a second signal, is left by a KeyboardInterrupt, which the task body turns into the end of its batch.
A fit in compiled code that no exception reaches is left by ending the process, as a third signal does
at once: the store is made for that.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["EarlyStop", "Interrupted", "Stopper"]

#: How long a fit in this process may go on after the first signal.
GRACE_SECONDS = 3.0
#: How long after that a fit may stay in compiled code that no exception reaches.
STUCK_SECONDS = 4.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED = 130


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end.

    A class of its own: where a plain KeyboardInterrupt passes through an `exec`, as imports of numpy and
    of dataclasses do, Python ends the process by SIGINT whatever exit code it is given later.
    """


class EarlyStop:
    """SIGINT and SIGTERM outside of runs, as an `Interrupted`; a second signal ends the process at once.

    `asked` tells whether there was one, also where an import turned the exception into another.
    """

    exit_code = _INTERRUPTED

    def __init__(self) -> None:
        self.asked = False

    def install(self) -> None:
        """Take the signals from here on, but those that this process was told to ignore (`nohup`, `&`)."""
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, _: int, __: FrameType | None) -> None:
        if self.asked:
            os._exit(_INTERRUPTED)
        self.asked = True
        raise Interrupted


class Stopper:
    """The handlers of one run, installed inside `with`; to be used by the main thread.

    `announce` is told in a few words what a signal does; `leave` gives the terminal back where the
    process must end at once. Before `begin` there is nothing to lose, so that a signal does what it did
    before.
    """

    def __init__(self, announce: Callable[[str], None], leave: Callable[[], None]) -> None:
        self._announce = announce
        self._leave = leave
        self._begun = False
        self._asked = 0
        self._fitting = False
        self._before: dict[int, object] = {}
        self._pipe = (-1, -1)
        self._wakeup_before = -1

    def __enter__(self) -> Stopper:
        """Install the handlers, where this thread may."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in (*_SIGNALS, signal.SIGALRM)}
            self._install()
            self._pipe = os.pipe()
            os.set_blocking(self._pipe[1], False)
            self._wakeup_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
            threading.Thread(target=self._watch, name="signals", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Put back what was there."""
        if not self._before:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._pipe[1])
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def begin(self) -> None:
        """From here on a signal stops the run and no longer the process."""
        self._begun = True

    def rest(self) -> None:
        """The run has ended: from here on a signal raises again, until the next one begins."""
        self._begun = False

    def asked(self) -> bool:
        """Whether the run should stop; the driver asks at every turn."""
        if self._before and signal.getsignal(signal.SIGTERM) != self._handle:
            # Ray replaces the handler of SIGTERM when it starts (docs/design.md)
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
            if self._before[number] is not signal.SIG_IGN:
                signal.signal(number, self._handle)
        signal.signal(signal.SIGALRM, self._ring)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._begun:
            before = self._before[number]
            if callable(before):
                before(number, frame)
            raise Interrupted
        self._asked += 1
        if self._asked == 1:
            signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS, 0.5)
        elif self._asked == 2 and self._fitting:
            raise Interrupted
        elif self._asked > 2:
            self._end()

    def _ring(self, _: int, __: FrameType | None) -> None:
        # it rings again: an exception that is raised inside a callback of a C library is lost
        if self._fitting:
            raise Interrupted

    def _watch(self) -> None:
        """Wait for a signal as the operating system sees it; end the process if a fit then stays where it is.

        Python's own handlers wait for compiled code to return, which may take hours.
        """
        while number := os.read(self._pipe[0], 1):
            if self._begun and number[0] in _SIGNALS:
                name = signal.Signals(number[0]).name
                self._announce(f"{name}: stopping; what is finished is kept")
                threading.Event().wait(GRACE_SECONDS + STUCK_SECONDS)
                if self._fitting:
                    self._announce("a fit cannot be interrupted: leaving without it; run again to continue")
                    self._end()
        os.close(self._pipe[0])

    def _end(self) -> None:
        self._leave()
        os._exit(_INTERRUPTED)
