"""A disk that is full, read-only or gone: a clear error, exit code 3, nothing damaged; running again ends well."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess

import pytest
from store.power import RecordingFileSystem

from retraining.cli.entry import run_command
from retraining.errors import StoreError
from retraining.operations.run import Watcher
from retraining.store.filesystem import OsFileSystem
from retraining.store.local import LocalObjects

from .conftest import PROGRAM, ROOT
from .memory import ONE_MODEL, MemoryBench, check_readable, rows

pytestmark = pytest.mark.slow

COMMAND = "run m.yaml --as-of 2024-05-01 --backend serial --no-progress"


class SmallDisk(OsFileSystem):
    """A disk that takes so many bytes and files, and then answers with an error."""

    def __init__(self, room: int, number: int = errno.ENOSPC) -> None:
        self.room = room
        self.number = number

    def write_file(self, path, data):
        self.room -= len(data) + 512
        if self.room < 0:
            path.write_bytes(data[: max(0, len(data) + self.room)])  # a part of it got there
            raise OSError(self.number, os.strerror(self.number), str(path))
        super().write_file(path, data)


@pytest.fixture
def worked(bench, monkeypatch):
    found = MemoryBench(bench, monkeypatch)
    found.write(ONE_MODEL)
    return found


def size_of_a_run(worked, folder) -> int:
    recorder = RecordingFileSystem()
    folder.mkdir()
    worked.run(LocalObjects(folder, files=recorder))
    return sum(len(data) + 512 for name, _, data in recorder.calls if name == "write_file")


def found_no_room(worked, objects) -> bool:
    """True where a run ended in the error that it should; only a hint that found no room is none."""
    try:
        worked.run(objects)
    except StoreError as error:
        said = error.exit_code == 3 and "free some space" in error.next_step
        return (said and "No space left" in error.message) or pytest.fail(f"not a clear error: {error!r}")
    return False


def test_a_disk_that_fills_up_anywhere_in_a_run_is_a_clear_error_and_loses_nothing(worked, tmp_path):
    needed = size_of_a_run(worked, tmp_path / "roomy")
    expected = check_readable(LocalObjects(tmp_path / "roomy")).read_head().logical()
    refused = 0
    for room in range(0, needed, needed // 12):
        folder = tmp_path / str(room)
        folder.mkdir()
        refused += found_no_room(worked, LocalObjects(folder, files=SmallDisk(room)))
        again = worked.run(LocalObjects(folder))
        assert again.after.logical() == expected
        assert check_readable(LocalObjects(folder)).read_head().release == 1
        assert not [path for path in folder.rglob("*#*") if "hints" not in path.parts]
    assert refused >= 9
    print(f"disk full at {refused} places of a run")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_turns_read_only_or_fails_is_a_clear_error_and_the_release_stands(
    worked, tmp_path, number
):
    folder = tmp_path / "store"
    folder.mkdir()
    before = worked.run(LocalObjects(folder)).after
    worked.write(ONE_MODEL, n=90)
    for room in (0, 6_000, 12_000):
        with pytest.raises(StoreError) as failure:
            worked.run(LocalObjects(folder, files=SmallDisk(room, number)))
        assert failure.value.exit_code == 3
        assert os.strerror(number) in failure.value.message
        assert failure.value.next_step
        head = check_readable(LocalObjects(folder)).read_head()
        assert head == before
    assert worked.run(LocalObjects(folder)).after.sequence == 2


@pytest.mark.parametrize("turn", [1, 3])
def test_a_store_that_disappears_is_an_error_and_is_not_made_again_in_silence(bench, worked, turn, capsys):
    folder = bench.folder / "store"
    seen = []

    def progress(_):
        seen.append(1)
        if len(seen) == turn:
            shutil.rmtree(folder)

    with pytest.raises(StoreError, match="No such file") as failure:
        bench.run(watcher=Watcher(progress=progress))
    assert failure.value.exit_code == 3
    assert not folder.exists()
    assert bench.run().after.release == 1


def test_a_store_that_is_no_folder_is_refused(bench, worked, monkeypatch, capsys):
    (bench.folder / "store").write_text("a file")
    monkeypatch.chdir(bench.folder)
    assert run_command([*COMMAND.split(), "--store", "store"]) == 3
    assert "error: " in capsys.readouterr().err
    assert (bench.folder / "store").read_text() == "a file"


MOUNTS = ["unshare", "--user", "--map-root-user", "--mount"] if os.getuid() else ["unshare", "--mount"]


def with_mounts(folder, script):
    """A shell script in a namespace of its own, where $RETRAIN is the command and `mnt` an empty folder."""
    (folder / "mnt").mkdir()
    if subprocess.run([*MOUNTS, "true"], capture_output=True, check=False).returncode:
        pytest.skip(
            "no mount namespace: `sysctl -w kernel.unprivileged_userns_clone=1`, or run the tests as root"
        )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": PROGRAM[0], "CODE": PROGRAM[2]}
    function = 'retrain() { "$PYTHON" -c "$CODE" "$@"; }\n'
    return subprocess.run(
        [*MOUNTS, "bash", "-uc", function + script],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_a_really_full_disk_ends_in_exit_code_3_and_the_next_run_finishes(bench):
    bench.write(ONE_MODEL, d=rows())
    expected = bench.run("2024-05-01").after.logical()
    done = with_mounts(
        bench.folder,
        f"""
        mount -t tmpfs -o size=40k tmpfs mnt || exit 77
        retrain {COMMAND} --store mnt/store; echo "code $?"
        mount -o remount,size=20m mnt || exit 77
        retrain {COMMAND} --store mnt/store; echo "code $?"
        cp -r mnt/store saved
        """,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("code")] == ["code 3", "code 0"]
    assert "No space left on device" in done.stderr
    assert "free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert check_readable(LocalObjects(bench.folder / "saved")).read_head().logical() == expected


def test_a_read_only_store_answers_plan_and_predict_and_refuses_run(bench):
    bench.write(ONE_MODEL, d=rows())
    before = bench.run("2024-05-01").after
    done = with_mounts(
        bench.folder,
        f"""
        mount --bind store store && mount -o remount,bind,ro store || exit 77
        retrain plan m.yaml --store store --as-of 2024-05-01; echo "code $?"
        retrain {COMMAND} --store store; echo "code $?"
        retrain predict a --store store --data d.parquet > predicted.csv; echo "code $?"
        retrain {COMMAND} --store store --force a; echo "code $?"
        """,
    )
    assert done.returncode == 0, done.stderr
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 0", "code 0", "code 0", "code 3"]
    assert "Read-only file system" in done.stderr
    assert "let this user write" in done.stderr
    assert "Traceback" not in done.stderr
    assert bench.store().read_head() == before
