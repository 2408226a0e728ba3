"""The power goes after any call to the disk, anywhere in whole runs: all that was acknowledged is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from store.places import InterceptedObjects
from store.power import RecordingFileSystem, cuts

from retraining.errors import NotFoundError
from retraining.store.local import LocalObjects
from retraining.store.log import store_on

from .memory import ONE_MODEL, MemoryBench, check_readable

pytestmark = pytest.mark.slow

#: Hints may be lost, and are overwritten.
HINTS = ("hints/", "log/_hint", "runs/")


def acknowledging(recorder: RecordingFileSystem, root: Path) -> InterceptedObjects:
    """A store on a folder, which notes when the program was told that an object is there."""

    def around(name, arguments, call):
        answer = call()
        if name in ("create", "put") and not arguments[0].startswith(HINTS):
            recorder.acknowledge((arguments[0], arguments[1]))
        return answer

    return InterceptedObjects(LocalObjects(root, files=recorder), around)


@pytest.mark.parametrize("names_kept", [False, True])
def test_after_a_power_cut_anywhere_in_two_runs_what_was_acknowledged_is_there(
    bench, monkeypatch, tmp_path, names_kept
):
    recorder, root, left = RecordingFileSystem(), tmp_path / "disk", tmp_path / "left"
    root.mkdir()
    left.mkdir()
    worked = MemoryBench(bench, monkeypatch)
    released = []
    for n in (60, 90):
        worked.write(ONE_MODEL, n=n)
        # each run is a process of its own, which knows nothing of what the other has synced
        released.append(worked.run(acknowledging(recorder, root)).after)
        recorder.acknowledge(released[-1])
    moments = resumed = 0
    for folder, acknowledged in cuts(recorder, root, left, names_kept=names_kept):
        moments += 1
        ended = check(folder, acknowledged, released)
        if moments % 15 == 0 and ended < 2:
            resumed += 1
            worked.write(ONE_MODEL, n=(60, 90)[ended])
            again = worked.run(LocalObjects(folder)).after
            assert (again.sequence, again.logical()) == (ended + 1, released[ended].logical())
    assert moments > 150
    assert resumed >= 8
    print(f"{moments} moments, {resumed} of them continued")


def check(folder: Path, acknowledged: list, released: list) -> int:
    """How many runs had ended; fails where something acknowledged is not there."""
    objects = LocalObjects(folder)
    try:
        store_on(objects)
    except NotFoundError:
        assert acknowledged == []
        return 0
    head = check_readable(objects).read_head()
    ended = 0
    for done in acknowledged:
        if isinstance(done, tuple):
            assert objects.get(done[0]) == done[1], done[0]
        else:
            ended += 1
    assert head.sequence >= ended
    assert head.sequence == 0 or head.logical() == released[head.sequence - 1].logical()
    return ended
