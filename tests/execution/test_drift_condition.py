"""A champion's loss, predictions and inputs drift: what is due for it, when it is due again, and who is looked at."""

import datetime as dt
import json

import numpy as np
import pytest

from retraining.decide.drift import told
from retraining.decide.profiles import Profile
from retraining.execution.counting import INPUT_ROLE
from retraining.operations.drift import find_drift
from retraining.operations.plan import plan
from retraining.operations.run import RunOptions, Watcher, run
from retraining.operations.session import Quiet, Request, open_plan
from retraining.store.packs import read_blob
from tests.oracle.test_measures import FIRST, FRAME, moment, rows, scores
from tests.oracle.workbench import Bench

pytestmark = pytest.mark.slow

SERIAL = RunOptions(backend="serial")
CHAIN = """
models:
  a:
    dataset: d
    target: {column: y, known_after: 1h}
    features: [x1, kind]
    estimator: {type: Ridge}
    retrain_when: RULE_A
  b:
    dataset: d
    target: {column: z, known_after: 1h}
    features: [x2]
    inputs: {a: {}}
    estimator: {type: Ridge}
    gate: {margin: {absolute: 10}}
    retrain_when: RULE_B
"""


def table(moved=0.0, days=84):
    """As `rows`: from day 63 on x1 means the opposite; with `moved` x2 is larger from there on, too."""
    frame = rows(days=days)
    frame["x2"] += np.where(frame.day >= 63, moved, 0.0)
    frame["kind"] = np.where(np.arange(len(frame)) % 3, "often", "seldom")
    return frame


def bench(folder, a="definition", b="definition", frame=None):
    text = FRAME + CHAIN.replace("RULE_A", a).replace("RULE_B", b)
    return Bench(folder).write(text, d=table() if frame is None else frame)


def reasons(one, day, node="a"):
    """What the run of a day decided about a node, and how it came out."""
    told_ = {}
    outcome = run(
        one.folder / "m.yaml",
        store=str(one.folder / "store"),
        as_of=moment(day),
        options=SERIAL,
        watcher=Watcher(planned=lambda session: told_.update(plan=session.plan)),
    )
    return list(told_["plan"][node].reasons), outcome


def drift(one, day, **more):
    return find_drift(
        one.folder / "m.yaml", store=str(one.folder / "store"), as_of=moment(day), options=SERIAL, **more
    ).scan


def day_number(day):
    return (FIRST.date() - dt.date(1970, 1, 1)).days + day


def test_a_worse_loss_makes_the_node_due_and_says_from_when_and_by_how_much(tmp_path):
    one = bench(tmp_path, a="{drift: {column: loss}}")
    reasons(one, 56)
    assert reasons(one, 63)[0] == []  # days 56 to 62 are as the ones before
    (reason,), outcome = reasons(one, 77)
    assert reason.kind == "drift"
    assert reason.text.startswith("loss of a: mean_squared_error 0.")
    assert reason.evidence["q"] < 0.05
    assert reason.evidence["window"] == {"from": "2024-03-04", "to": "2024-03-17", "days": 14, "rows": 112}
    assert outcome.fits_made > 0
    # what was looked at is consumed: the same days say nothing more, whatever became of the challenger
    assert reasons(one, 77)[0] == []
    assert one.version("a").document is not None


def test_a_smallest_change_of_the_loss_can_be_asked_for(tmp_path):
    one = bench(tmp_path, a="{any: [{drift: {column: loss, psi: 50}}, {age: 3650d}]}")
    reasons(one, 56)
    assert reasons(one, 77)[0] == []


def test_a_rejected_challenger_is_tried_again_when_newer_days_drift_too(tmp_path):
    text = FRAME + CHAIN.replace("RULE_A", "{drift: {column: loss}}").replace("RULE_B", "definition")
    text = text.replace(
        "    features: [x1, kind]",
        "    gate: {limits: {mean_squared_error: {max: 0.3}}}\n    features: [x1, kind]",
    )
    one = Bench(tmp_path).write(text, d=table(days=98))
    assert reasons(one, 56)[1].outcomes["a"][0] == "promoted"
    found, outcome = reasons(one, 77)
    assert (len(found), outcome.outcomes["a"][0]) == (1, "rejected")
    for day in (77, 80):
        assert reasons(one, day)[0] == []
    (again,), _ = reasons(one, 91)
    assert again.evidence["window"]["from"] == "2024-03-18"  # the day after those that were consumed


def test_predictions_that_move_make_the_node_due_without_any_label(tmp_path):
    frame = table()
    frame["x1"] += np.where(frame.day >= 63, 3.0, 0.0)
    frame["known"] = frame.t
    one = bench(tmp_path, a="{drift: {column: prediction}}", frame=frame)
    reasons(one, 56)
    (reason,), _ = reasons(one, 77)
    assert reason.text.startswith("predictions of a: PSI ")
    assert reason.evidence["kind"] == "prediction"


def test_inputs_are_the_features_and_the_predictions_of_upstreams(tmp_path):
    one = bench(tmp_path, b="{drift: {column: inputs}}", frame=table(moved=4.0))
    reasons(one, 56, "b")
    (reason,), _ = reasons(one, 77, "b")
    assert reason.text.startswith("d.x2: PSI ")
    assert reason.evidence["columns"] == ["d.x2"]
    frame = table()
    frame["x1"] += np.where(frame.day >= 63, 3.0, 0.0)
    (tmp_path / "other").mkdir()
    other = bench(tmp_path / "other", b="{drift: {column: inputs}}", frame=frame)
    reasons(other, 56, "b")
    (reason,), _ = reasons(other, 77, "b")
    assert reason.evidence["columns"] == ["a"]


def test_profiles_of_inputs_are_those_of_the_rows(tmp_path):
    one = bench(tmp_path, a="{drift: {column: inputs}}")
    reasons(one, 56)
    reasons(one, 77)
    frame = table()
    store = one.store()
    found = {}
    for record in scores(one).values():
        for pointer in record.blobs:
            if pointer.role.startswith(INPUT_ROLE):
                profile = Profile.from_bytes(read_blob(store.objects, pointer))
                found[(pointer.role, record.metrics["part"])] = profile
    assert len({part for _, part in found}) == 11
    for (role, _), profile in found.items():
        values = frame[role.removeprefix(INPUT_ROLE)]
        for day, counts in zip(profile.days, profile.counts, strict=True):
            here = values[frame.day == day - day_number(0)]
            if role.endswith("kind"):
                expected = [*(here == "often", here == "seldom"), here == "", here.isna()]
                assert counts.tolist() == [int(each.sum()) for each in expected]
            else:
                edges = np.array(profile.bins.edges)
                places = [int((edges < value).sum()) for value in here]
                assert counts.tolist() == np.bincount(places, minlength=len(counts)).tolist()


def test_plan_says_what_is_not_measured_yet_and_a_run_leaves_nothing_to_say(tmp_path):
    one = bench(
        tmp_path, a="{drift: {column: inputs}}", b="{drift: {column: prediction}}", frame=table(days=77)
    )
    (tmp_path / "d.parquet").touch()
    reasons(one, 56)
    request = Request(manifest=tmp_path / "m.yaml", store=str(tmp_path / "store"), as_of=moment(63))
    session = open_plan(request, dt.datetime.now(dt.UTC), create_store=False)
    assert any("not measured yet" in note for note in session.notes)
    reasons(one, 63)
    session = open_plan(request, dt.datetime.now(dt.UTC), create_store=False)
    assert not any("not measured yet" in note for note in session.notes)


def test_only_what_is_missing_is_counted_again(tmp_path):
    one = bench(tmp_path, a="{any: [{drift: {column: inputs, psi: 99}}, {drift: {column: loss, psi: 99}}]}")
    reasons(one, 56)
    reasons(one, 70)
    before = scores(one).keys()
    reasons(one, 70)
    assert scores(one).keys() == before
    reasons(one, 77)
    # one block of measures and what they are worth, one block of profiles
    assert len(scores(one).keys() - before) == 3


# -- the verb ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A chain without any condition, released on day 56."""
    one = bench(tmp_path_factory.mktemp("chain"))
    reasons(one, 56)
    return one


def test_drift_now_needs_no_condition_and_says_what_it_means(chain):
    scan = drift(chain, 77)
    by_name = {(one.kind, one.column): one for one in scan.findings}
    assert by_name.keys() == {
        ("loss", "a"), ("loss", "b"), ("prediction", "a"), ("prediction", "b"),
        ("inputs", "d.x1"), ("inputs", "d.x2"), ("inputs", "d.kind"),
    }  # fmt: skip
    assert by_name[("loss", "a")].drifted
    assert not by_name[("prediction", "a")].drifted
    assert {one.node: one.story for one in scan.advice}["a"] == "concept"
    # b only repeats what a does wrong
    if by_name[("loss", "b")].drifted:
        assert {one.node: one.story for one in scan.advice}["b"] == "upstream"
    assert scan.unmeasured == {}


def test_the_same_scan_gives_the_same_bytes_and_measures_nothing_again(chain):
    first = json.dumps(drift(chain, 77).to_json())
    before = scores(chain).keys()
    assert json.dumps(drift(chain, 77).to_json()) == first
    assert scores(chain).keys() == before


def test_a_scan_changes_no_plan_and_no_release(chain):
    head = chain.store().read_head()
    drift(chain, 77)
    after = chain.store().read_head()
    assert (after.release, after.entry) == (head.release, head.entry)
    planned = plan(chain.folder / "m.yaml", store=str(chain.folder / "store"), as_of=moment(77))
    assert [one.reasons for one in planned.decisions] == [(), ()]


def test_the_upstreams_of_selected_nodes_are_looked_at_too(chain):
    assert drift(chain, 77, select=("b",)).nodes == 2
    assert drift(chain, 77, select=("a",)).nodes == 1
    assert {one.column for one in drift(chain, 77, select=("a",)).findings} == {"a", "d.x1", "d.kind"}


def test_a_longer_window_holds_more_days(chain):
    assert {one.days[1] for one in drift(chain, 77).findings} == {14}
    assert {one.days[1] for one in drift(chain, 77, window="3w").findings} == {21}


def test_a_day_after_the_release_there_is_nothing_to_compare(chain):
    found = drift(chain, 56).findings
    assert not any(one.tested for one in found)
    assert "no new days since the champion's cut" in told(found[0])


def test_a_plan_that_watches_is_remembered_until_the_data_changes(tmp_path):
    import os

    one = bench(tmp_path, a="{drift: {column: loss}}", frame=table(days=60))
    os.utime(tmp_path / "d.parquet", (1e9, 1e9))
    reasons(one, 56)
    reasons(one, 58)
    request = Request(manifest=tmp_path / "m.yaml", store=str(tmp_path / "store"), as_of=moment(58))
    assert isinstance(open_plan(request, dt.datetime.now(dt.UTC), create_store=False), Quiet)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_what_is_measured_on_ray_is_what_is_measured_in_this_process(tmp_path):
    one = bench(tmp_path, b="{drift: {column: inputs}}", frame=table(moved=2.0))
    digests = set()
    for backend in ("serial", "ray"):
        for day in (56, 77):
            outcome = one.run(moment(day), store=backend, backend=backend)
        digests.add(outcome.after.logical())
        assert outcome.outcomes["b"][0] == "promoted"  # its inputs moved
    assert len(digests) == 1


def test_profiles_that_cannot_be_read_any_more_are_done_without(tmp_path):
    one = bench(tmp_path, a="{drift: {column: inputs}}")
    reasons(one, 56)
    reasons(one, 70)
    before = {finding.column for finding in drift(one, 70).findings if finding.tested}
    store = one.store()
    pointers = [p for record in scores(one).values() for p in record.blobs if p.role == f"{INPUT_ROLE}x1"]
    for pointer in pointers:
        path = tmp_path / "store" / pointer.pack
        body = bytearray(path.read_bytes())
        body[pointer.offset + pointer.stored // 2] ^= 0xFF
        path.chmod(0o644)
        path.write_bytes(body)
    assert store.read_head().release == 1
    after = {finding.column for finding in drift(one, 70).findings if finding.tested}
    assert "d.x1" in before
    assert "d.x1" not in after
    assert "d.kind" in after
