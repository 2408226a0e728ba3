"""What a person decides while a run is at work is not overwritten by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from retraining.errors import ReleaseConflictError
from retraining.operations.pin import pin
from retraining.operations.rollback import rollback
from retraining.operations.run import RunOptions, Watcher, run
from retraining.operations.stored import Stored, open_stored
from tests.cli.chain import improve_down, improve_up, status, versions
from tests.cli.conftest import Type

pytestmark = pytest.mark.slow


def meanwhile(change) -> None:
    """Runs the chain, and lets somebody do something once the run has read the store."""
    run(
        "chain.yaml",
        options=RunOptions(backend="serial"),
        watcher=Watcher(planned=lambda _: change(open_stored("store", None))),
    )


def test_a_run_does_not_replace_what_was_pinned_meanwhile(chain: Path, type_: Type) -> None:
    before = versions(type_)
    improve_up()
    with pytest.raises(ReleaseConflictError, match="pinned it: under audit"):
        meanwhile(lambda stored: pin(stored, ("up",), "under audit"))
    assert versions(type_) == before
    assert status(type_)["nodes"]["up"]["pin"]["because"] == "under audit"


def test_a_run_does_not_undo_a_rollback_that_came_meanwhile(chain: Path, type_: Type) -> None:
    first = versions(type_)
    improve_up()
    run("chain.yaml", options=RunOptions(backend="serial"))
    improve_down()

    def back(stored: Stored) -> None:
        rollback(stored, None, because="refunds doubled")

    with pytest.raises(ReleaseConflictError):
        meanwhile(back)
    assert versions(type_) == first
    assert type_("releases", "--format", "json").document["total"] == 3


def test_a_pin_on_a_node_that_the_run_does_not_touch_is_no_conflict(chain: Path, type_: Type) -> None:
    before = versions(type_)
    improve_down()
    meanwhile(lambda stored: pin(stored, ("up",), "under audit"))
    after = status(type_)["nodes"]
    assert after["down"]["version"] != before["down"]
    assert after["up"]["pin"]["because"] == "under audit"
