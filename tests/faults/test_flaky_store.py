"""A store that fails, hangs, loses replies, sends twice, applies late or cuts off reads, at every call in turn.

Each outcome is the right release or a clear error with the right exit code; a clean run then gives the same release.
"""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest
from store.places import InterceptedObjects

from retraining.errors import CommitOutcomeUnknownError, StoreError, UnansweredError

from .memory import ONE_MODEL, MemoryBench, check_readable, memory

pytestmark = pytest.mark.slow

WRITES = {"create", "put", "overwrite", "delete"}
READS = {"get", "get_range", "get_tail"}
#: What goes wrong, and the calls that it can befall.
FAULTS = {
    "refused": WRITES | READS | {"list", "settle", "verify_exclusion"},
    "unanswered, not applied": WRITES | READS | {"list"},
    "unanswered, applied": WRITES,
    "unanswered, applied after the next two calls": {"create", "put"},
    "sent twice": WRITES,
    "cut off": READS,
}


def faulty(inner, fault, at):
    """The objects with one fault at call number `at` of those that it can befall; the names of these calls."""
    befallen = []
    late = []

    def around(name, arguments, call):
        for number, (wait, apply) in enumerate(late):
            late[number] = (wait - 1, apply)
        for wait, apply in [one for one in late if one[0] <= 0]:
            late.remove((wait, apply))
            with contextlib.suppress(StoreError):  # somebody wrote the key meanwhile
                apply()
        if name not in FAULTS[fault]:
            return call()
        befallen.append((name, str(arguments[0]).partition("/")[0] if arguments else ""))
        if len(befallen) - 1 != at:
            return call()
        if fault == "refused":
            raise StoreError(f"{name}: the store says no", "ask again later")
        if fault == "unanswered, not applied":
            raise UnansweredError(f"{name}: no answer", "run again")
        if fault == "unanswered, applied":
            call()
            raise UnansweredError(f"{name}: no answer", "run again")
        if fault == "unanswered, applied after the next two calls":
            late.append((3, call))
            raise UnansweredError(f"{name}: no answer", "run again")
        if fault == "sent twice":
            call()
            return call()
        answer = call()
        if isinstance(answer, tuple):
            return answer[0][len(answer[0]) // 2 :], answer[1]
        return answer[: len(answer) // 2]

    return InterceptedObjects(inner, around), befallen


def worth_a_try(calls):
    """The numbers of the calls, but of many packs and events only the first two and the last."""
    seen, last = Counter(), {call: number for number, call in enumerate(calls)}
    for number, call in enumerate(calls):
        seen[call] += 1
        if seen[call] <= 2 or last[call] == number:
            yield number


def ending(worked, objects):
    """What a run ends in: its outcome, or the store's error, which has a text, a next step and its own exit code."""
    try:
        return worked.run(objects)
    except StoreError as error:
        code = 5 if isinstance(error, CommitOutcomeUnknownError) else 3
        right = error.exit_code == code and error.message and error.next_step
        return error if right else pytest.fail(f"not a clear error: {error!r}")


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_of_the_store_at_any_call_ends_in_the_release_or_in_a_clear_error(bench, monkeypatch, fault):
    worked = MemoryBench(bench, monkeypatch)
    worked.write(ONE_MODEL)
    undisturbed = memory({})
    objects, calls = faulty(undisturbed, fault, -1)
    expected = worked.run(objects).after.logical()
    ended = Counter()
    for at in list(worth_a_try(calls)):
        objects = memory({})
        flaky, befallen = faulty(objects, fault, at)
        outcome = ending(worked, flaky)
        if isinstance(outcome, StoreError):
            ended["error"] += 1
        else:
            assert outcome.after.logical() == expected, befallen[at]
            assert outcome.exit_code == 0
            ended["released"] += 1
        again = worked.run(objects)
        assert again.after.logical() == expected, befallen[at]
        head = check_readable(objects).read_head()
        assert (head.release, head.sequence) == (1, 1), befallen[at]
    assert ended.total() >= 3
    print(f"{fault}: {ended.total()} calls, {dict(ended)}")


@pytest.mark.parametrize("fault", ["refused", "cut off"])
def test_a_fault_while_a_second_run_reads_what_the_first_left_is_no_other_release(bench, monkeypatch, fault):
    worked = MemoryBench(bench, monkeypatch)
    worked.write(ONE_MODEL)
    start = memory({})
    worked.run(start)
    worked.write(ONE_MODEL, n=90)
    objects, calls = faulty(memory(start.bodies), fault, -1)
    expected = worked.run(objects).after.logical()
    for at in list(worth_a_try(calls)):
        objects = memory(start.bodies)
        flaky, befallen = faulty(objects, fault, at)
        outcome = ending(worked, flaky)
        assert isinstance(outcome, StoreError) or outcome.after.logical() == expected, befallen[at]
        assert worked.run(objects).after.logical() == expected, befallen[at]
        assert check_readable(objects).read_head().sequence == 2
    print(f"second run, {fault}: {len(list(worth_a_try(calls)))} calls")
