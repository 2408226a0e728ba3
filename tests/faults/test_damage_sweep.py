"""Every object of a store damaged in turn, in six ways: the right answer or a clear error, never a wrong answer."""

from __future__ import annotations

from collections import Counter

import pandas as pd
import pytest

from retraining.errors import StoreError
from retraining.operations.feedback import add_feedback
from retraining.operations.predict import predict
from retraining.store.log import store_on

from .memory import ONE_MODEL, MemoryBench, memory

pytestmark = pytest.mark.slow

WAYS = {
    "first bit": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "middle bit": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 16]) + data[len(data) // 2 + 1 :]
    ),
    "last bit": lambda data: data[:-1] + bytes([data[-1] ^ 128]),
    "half of it": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "gone": lambda data: None,
}


@pytest.fixture
def worked(bench, monkeypatch):
    found = MemoryBench(bench, monkeypatch)
    found.write(ONE_MODEL)
    return found


def damaged(state, key, way):
    data = WAYS[way](state[key])
    return {
        **{one: body for one, body in state.items() if one != key},
        **({} if data is None else {key: data}),
    }


def test_a_damaged_object_never_makes_another_prediction_or_release(bench, worked):
    start = memory({})
    worked.run(start)
    worked.write(ONE_MODEL, n=90)
    late = pd.DataFrame({"id": range(20), "y": 1.0})
    with worked.opened(start):
        add_feedback(bench.folder / "m.yaml", late, known_at="2024-04-01", store="memory")
    worked.run(start)
    assert any(key.startswith("feedback/") for key in start.bodies)
    head = store_on(start).read_head()
    new = {"d": str(bench.folder / "d.parquet")}

    def predicted(objects):
        with worked.opened(objects):
            return predict("memory", "a", new).prediction.table

    expected = predicted(start)
    ended = Counter()
    for key in sorted(start.bodies):
        for way in WAYS:
            state = damaged(start.bodies, key, way)
            asked = {"predict": lambda objects: predicted(objects).equals(expected)}
            if way in ("middle bit", "gone"):
                asked["run"] = lambda objects: worked.run(objects).after.logical() == head.logical()
            for what, ask in asked.items():
                try:
                    right = ask(memory(state))
                except StoreError as error:
                    assert error.exit_code == 3, (key, way, what)  # noqa: PT017 - either ending is right
                    assert error.message.strip(), (key, way, what)  # noqa: PT017
                    ended["clear error"] += 1
                else:
                    assert right or removed_the_newest(key, way, state), (key, way, what)
                    ended["right answer"] += 1
    print(f"{len(start.bodies)} objects, {len(WAYS)} ways: {dict(ended)}")
    assert ended.total() == (len(WAYS) + 2) * len(start.bodies)


def removed_the_newest(key, way, state) -> bool:
    """True where nothing is damaged: without its last entry, a log is that of an earlier time."""
    return way == "gone" and key == max(one for one in {*state, key} if one.startswith("log/0"))
