"""`retrain serve` in a process of its own: it acts, outlives a store that is away, and stops when it is told."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cli.chain import improve_up
from tests.cli.conftest import PROGRAM, Type, environment

SERVE = (
    *("serve", "chain.yaml", "--backend", "serial", "--every", "1s"),
    *("--listen", "127.0.0.1:0", "--format", "json"),
)


def _until(found: object, process: subprocess.Popen[str]) -> object:
    """What `found` gives as soon as it gives something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        answer = found()  # type: ignore[operator]
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError((process.poll(), process.communicate(timeout=10)))


@pytest.mark.slow
def test_it_acts_survives_a_store_that_is_away_and_stops_at_a_signal(chain: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, *SERVE],
        cwd=chain,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stderr is not None
    url = process.stderr.readline().partition("page at ")[2].strip()

    def status() -> dict[str, object]:
        with urllib.request.urlopen(f"{url}status.json", timeout=10) as answer:
            found: dict[str, object] = json.load(answer)
        return found

    try:
        _until(lambda: status()["ticks"], process)
        improve_up()
        _until(lambda: status()["release"] == 2, process)
        (chain / "store").rename(chain / "away")
        _until(lambda: status()["failing"], process)
        assert not (chain / "store").exists()
        (chain / "away").rename(chain / "store")
        _until(lambda: not status()["failing"], process)
    finally:
        process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    document = json.loads(out)
    assert (document["format"], document["runs"], document["release"]) == (1, 1, 2)


def test_a_manifest_that_is_wrong_and_an_open_address_are_refused_at_once(chain: Path, type_: Type) -> None:
    assert type_("serve", "--listen", "0.0.0.0:0").code == 2
    assert type_("serve", "--expose").code == 2
    assert type_("serve", "--every", "0s").code == 2
    (chain / "chain.yaml").write_text("manifest: 1\nname: m\n")
    assert type_("serve").code == 2
