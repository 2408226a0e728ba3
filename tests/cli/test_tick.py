"""`retrain tick` as it is typed."""

from __future__ import annotations

from pathlib import Path

from tests.cli.chain import change, improve_up
from tests.cli.conftest import Type

SCHEDULED = (
    "features: [noise]\n    retrain_when: {any: [definition, upstream, {schedule: '0 3 * * 1'}]}\n    inputs"
)
TICK = ("tick", "--backend", "serial", "--no-progress")


def test_a_tick_says_what_was_due_at_which_instant_and_what_came_of_it(chain: Path, type_: Type) -> None:
    change("features: [noise]\n    inputs", SCHEDULED)
    first = type_(*TICK, "--as-of", "2100-01-04T04:00:00Z")
    assert first.code == 0, first.err
    lines = first.out.splitlines()
    assert lines[0] == "as of 2100-01-04 03:00 UTC"
    assert lines[1].startswith(
        "  schedule: Mon 2100-01-04 03:00 UTC has come, after more than 1,000 instants"
    )
    assert "release 1 stays" in lines
    assert lines[-1] == "by time alone something fires next at 2100-01-11 03:00 UTC"
    again = type_(*TICK, "--as-of", "2100-01-04T04:00:00Z")
    assert again.out.splitlines()[0] == "nothing is due"
    improve_up()
    acted = type_(*TICK, "--as-of", "2100-01-05T00:00:00Z", "--format", "json").document
    (act,) = acted["acts"]
    assert (act["instants"], act["as_of"], acted["release"]) == ([], "2100-01-05T00:00:00Z", 2)
    assert act["run"]["counts"]["promoted"] >= 1
