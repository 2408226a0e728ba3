"""Suspended computations that wait for each other: demand a key, and whatever it needs is computed once.

A flow is a generator: it yields the keys that it needs and is resumed with their values (a suspending
scheduler in the words of Mokhov, Mitchell and Peyton Jones, "Build systems a la carte", 2018). Nothing
here does I/O; tasks are keys whose values the driver feeds in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from typing import Any, TypeAlias

Key: TypeAlias = Hashable
Flow: TypeAlias = Generator[Sequence[Key], list[Any], Any]


class Flows:
    """Runs flows until they need values that are not there yet.

    `open_flow` makes the flow of a key, or answers None where the key's value will be fed in.
    """

    def __init__(self, open_flow: Callable[[Key], Flow | None]) -> None:
        self._open = open_flow
        self._values: dict[Key, Any] = {}
        self._flows: dict[Key, Flow] = {}
        self._needs: dict[Key, Sequence[Key]] = {}
        self._missing: dict[Key, int] = {}
        self._readers: dict[Key, list[Key]] = {}
        self._seen: set[Key] = set()
        self._ready: deque[tuple[Key, list[Any] | None]] = deque()
        self._fresh: list[Key] = []

    def __contains__(self, key: Key) -> bool:
        return key in self._values

    def __getitem__(self, key: Key) -> Any:
        return self._values[key]

    def demand(self, key: Key) -> None:
        """Starts whatever computes the key, if nothing does yet."""
        self._start(key)
        self._run()

    def feed(self, key: Key, value: Any) -> None:
        """Gives a key its value and resumes who waited for it."""
        self._settle(key, value)
        self._run()

    def settled(self) -> list[Key]:
        """The keys that got their values since the last call, in that order."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def unfinished(self) -> list[Key]:
        """The keys whose flows still wait."""
        return list(self._flows)

    def _start(self, key: Key) -> None:
        if key in self._seen:
            return
        self._seen.add(key)
        flow = self._open(key)
        if flow is not None:
            self._flows[key] = flow
            self._ready.append((key, None))

    def _run(self) -> None:
        while self._ready:
            key, values = self._ready.popleft()
            flow = self._flows[key]
            try:
                needs = next(flow) if values is None else flow.send(values)
            except StopIteration as end:
                del self._flows[key]
                self._settle(key, end.value)
                continue
            self._suspend(key, needs)

    def _suspend(self, key: Key, needs: Sequence[Key]) -> None:
        self._needs[key] = needs
        for need in needs:
            self._start(need)
        missing = {need for need in needs if need not in self._values}
        if not missing:
            self._ready.append((key, [self._values[need] for need in needs]))
            return
        self._missing[key] = len(missing)
        for need in missing:
            self._readers.setdefault(need, []).append(key)

    def _settle(self, key: Key, value: Any) -> None:
        self._seen.add(key)
        self._values[key] = value
        self._fresh.append(key)
        for reader in self._readers.pop(key, ()):
            self._missing[reader] -= 1
            if not self._missing[reader]:
                del self._missing[reader]
                self._ready.append((reader, [self._values[need] for need in self._needs[reader]]))
