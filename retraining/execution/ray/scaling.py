"""Asking a cluster's autoscaler for nodes, and taking the request back.

A request is a floor that stays until the next one, whoever makes it; a run asks only for what it was told
to use and the cluster does not have, and asks for nothing at its end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

__all__ = ["Scaling"]


class Scaling:
    """What this run has asked of the autoscaler; where there is none, nobody answers, and nothing happens."""

    def __init__(self) -> None:
        self._asked: list[dict[str, float]] = []

    def ask(self, cpus: int, bundles: Sequence[Mapping[str, float]]) -> None:
        """Asks that the cluster have so many CPUs in all, and nodes that hold each of the bundles."""
        wanted = [{"CPU": 1.0}] * cpus + [dict(bundle) for bundle in bundles]
        if wanted != self._asked:
            self._request(wanted)
            self._asked = wanted

    def close(self) -> None:
        """Takes back what was asked, so that nodes which nobody needs go."""
        if self._asked:
            with contextlib.suppress(Exception):  # a cluster that is gone needs no telling
                self._request([])
            self._asked = []

    @staticmethod
    def _request(bundles: list[dict[str, float]]) -> None:
        from ray.autoscaler.sdk import request_resources

        request_resources(bundles=bundles)
