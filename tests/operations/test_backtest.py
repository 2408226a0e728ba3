"""A backtest says what a plain loop over runs says, costs what fresh stores would, and goes on where it was stopped."""

import numpy as np
import pytest
from sklearn import metrics

import retraining
from retraining.errors import InputError, InterruptedRunError
from retraining.operations.backtest import backtest
from retraining.operations.run import RunOptions, Watcher
from retraining.store.log import open_store
from tests.oracle.test_measures import FRAME, moment, rows
from tests.oracle.workbench import Bench

pytestmark = pytest.mark.slow

SERIAL = RunOptions(backend="serial")
DAYS, FIRST, LAST = 84, 56, 84  # weeks of seven days; x1 turns round on day 63
MANIFEST = f"""{FRAME}
models:
  a:
    dataset: d
    target: {{column: y, known_after: 1h}}
    features: [x1]
    estimator: {{type: Ridge}}
    retrain_when: {{age: 15d}}
  b:
    dataset: d
    target: {{column: z, known_after: 1h}}
    features: [x2]
    inputs: {{a: {{}}}}
    estimator: {{type: Ridge}}
    metrics: [root_mean_squared_error, r2]
    retrain_when: {{any: [upstream, {{age: 15d}}]}}
"""
PERIOD = {"begin": moment(FIRST, hour=0), "end": moment(LAST, hour=2)}
ALWAYS = {"always": "{data: {blocks: 1}}"}


def bench_at(folder, **more):
    return Bench(folder).write(MANIFEST, d=rows(DAYS, **more))


def replayed(bench, **more):
    return backtest(bench.folder / "m.yaml", **PERIOD, options=SERIAL, **more)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A backtest of the three default policies, whose stores are kept."""
    bench = bench_at(tmp_path_factory.mktemp("kept"))
    return bench, replayed(bench, folder=bench.folder / "tried")


def loop_of(bench, rule):
    """The naive way: run at every begin of a week, predict the week's rows, compare when all is over."""
    if rule is not None:
        text = (bench.folder / "m.yaml").read_text()
        lines = [f"    retrain_when: {rule}" if "retrain_when" in line else line for line in text.split("\n")]
        (bench.folder / "m.yaml").write_text("\n".join(lines))
    frame = rows(DAYS)
    said = {"a": [], "b": []}
    outcomes, runs = {}, 0
    for day in range(FIRST, LAST, 7):
        outcome = bench.run(moment(day, hour=0))
        runs += bool(outcome.fits_made)
        for word, _ in outcome.outcomes.values():
            outcomes[word] = outcomes.get(word, 0) + 1
        week = frame[(frame.day >= day) & (frame.day < day + 7)]
        current = retraining.open_store(str(bench.folder / "store")).current()
        for node in said:
            predicted = current.predict(node, {"d": week.drop(columns=["y", "z"])})
            said[node].append(predicted.outputs[:, 0])
    return {node: np.concatenate(columns) for node, columns in said.items()}, outcomes, runs


@pytest.mark.parametrize("policy", ["never", "as-written", "always"])
def test_quality_and_outcomes_are_those_of_a_plain_loop_of_runs_and_predictions(kept, policy, tmp_path):
    _, found = kept
    rule = {"never": "definition", "as-written": None, "always": ALWAYS["always"]}[policy]
    said, outcomes, runs = loop_of(bench_at(tmp_path), rule)
    frame = rows(DAYS)
    truth = frame[(frame.day >= FIRST) & (frame.day < LAST)]
    expected = {
        "a": metrics.mean_squared_error(truth.y, said["a"]),
        "b": metrics.root_mean_squared_error(truth.z, said["b"]),
    }
    for model in found.models:
        assert (model.rows, model.days, model.blocks, model.left_out) == (len(truth), LAST - FIRST, 4, 0)
        one = next(one for one in model.policies if one.policy == policy)
        assert one.value == pytest.approx(expected[model.model], rel=1e-9)
    cost = next(cost for cost in found.costs if cost.policy == policy)
    assert cost.runs == runs
    assert cost.outcomes.get("promoted", 0) == outcomes.get("promoted", 0)
    assert cost.outcomes.get("rejected", 0) == outcomes.get("rejected", 0)


def test_where_the_world_turns_round_always_beats_never(kept):
    _, found = kept
    assert [model.model for model in found.models] == ["b", "a"]  # whom nobody reads comes first
    for model in found.models:
        never, written, always = model.policies
        assert (never.policy, written.policy, always.policy) == ("never", "as-written", "always")
        assert always.loss < never.loss
        assert always.change == pytest.approx(always.loss / never.loss - 1)
        assert never.change is None
        assert written.difference is None
        assert never.difference.value == pytest.approx(never.loss - written.loss)
        assert always.best


def test_fits_of_earlier_policies_are_not_made_again_and_the_log_is_not_shared(kept):
    bench, _ = kept
    stores = {name: open_store(str(bench.folder / "tried" / name)) for name in ("never", "always")}
    assert len({one.store_id for one in stores.values()}) == 2
    packs = {name: {info.key for info in one.objects.list("packs/")} for name, one in stores.items()}
    assert packs["never"] < packs["always"]
    assert not (bench.folder / "store").exists()


def test_alone_and_stopped_and_gone_on_with_a_policy_says_the_same_and_costs_as_much(kept, tmp_path):
    bench, said = bench_at(tmp_path), []
    stopping = Watcher(said=said.append, stop_asked=lambda: len(said) >= 2)
    with pytest.raises(InterruptedRunError, match="stopped") as stopped:
        replayed(bench, policies=ALWAYS, folder=tmp_path / "tried", watcher=stopping)
    assert "goes on" in stopped.value.next_step
    alone = replayed(bench, policies=ALWAYS, folder=tmp_path / "tried")
    assert alone.baseline == alone.reference == "always"
    for model, beside in zip(alone.models, kept[1].models, strict=True):
        assert model.policies[0].value == beside.policies[-1].value
    (cost,), shared = alone.costs, kept[1].costs[-1]
    assert (cost.fits, cost.runs, cost.outcomes) == (shared.fits, shared.runs, shared.outcomes)
    assert kept[1].costs[0].fits < shared.fits
    assert 0 < kept[1].costs[0].seconds < shared.seconds


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"policies": {"odd": "{dat: {blocks: 1}}"}}, "policy odd=.*dat"),
        (
            {"policies": {"odd": "{performance: {metric: r2, max: 0.5}}"}},
            "policy odd=.*r2 is better the higher",
        ),
        ({"policies": {"../x": "definition"}}, "no name for a policy"),
        ({"policies": {"as-written": "definition"}}, "has no rule"),
        ({"begin": moment(LAST)}, "is not before"),
        ({"every": "soon"}, "--every 'soon'"),
        ({"end": moment(FIRST + 6)}, "no whole block"),
        ({"select": ("state:due",)}, "depends on the step"),
        ({"folder": "s3://bucket/x"}, "in a folder"),
    ],
)
def test_what_cannot_be_replayed_is_said(tmp_path, more, message):
    bench = bench_at(tmp_path)
    with pytest.raises(InputError, match=message):
        backtest(bench.folder / "m.yaml", **{**PERIOD, **more})


def test_folds_have_no_history_and_a_folder_of_something_else_is_left_alone(kept, tmp_path):
    bench = bench_at(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else"):
        replayed(bench, folder=tmp_path / "full")
    tried = kept[0].folder / "tried"
    with pytest.raises(InputError, match="is a store of releases"):
        replayed(kept[0], folder=tried / "never")
    with pytest.raises(InputError, match="policy always with another rule"):
        replayed(kept[0], folder=tried, policies={"always": "{data: {blocks: 2}}"})
    text = (tmp_path / "m.yaml").read_text()
    time = "scheme: time, blocks: 1w, holdout: 2, min_train: {rows: 30, blocks: 2}"
    folds = text.replace(time, "scheme: folds, folds: 3").replace(", known_after: 1h", "")
    (tmp_path / "m.yaml").write_text(folds.replace("{age: 15d}", "definition"))
    with pytest.raises(InputError, match=r"dataset `d` \(model `a`\) is validated by folds"):
        replayed(bench)
