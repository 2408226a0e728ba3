"""Slices of a gate, and the nodes of a model judged together, in whole runs."""

from __future__ import annotations

import numpy as np
import pytest

from retraining.errors import DataError, ManifestError

from .test_gate_settings import daily, on

pytestmark = pytest.mark.slow

TEXT = """
datasets: {d: {path: d.parquet, key: [id], time: at}}
validation: {scheme: time, blocks: 2w, min_train: {rows: 20, blocks: 2}}
models:
  m:
    dataset: d
    %s
    target: {column: y, known_after: 0d}
    features: [x]
    estimator: %s
    gate: {%s}
"""


def countries(frame):
    frame["country"] = np.array(["BE", "DE", "NL", None])[frame["id"] % 4]
    frame["number"] = frame["id"] % 3
    frame["truth"] = frame["id"] % 2 == 0
    return frame


def write(bench, frame, gate, by="", estimator="Ridge"):
    return bench.write(TEXT % (by, estimator, gate), d=frame.drop(columns="day"))


def changed(frame, who, since):
    """The rows of some countries whose labels go the other way from a day on, up to day 70."""
    rows = frame["country"].isin(who) & (frame["day"] >= since) & (frame["day"] < 70)
    frame.loc[rows, "y"] -= 4 * frame["x"]
    return frame


def test_a_slice_that_pays_for_the_others_keeps_the_champion(bench):
    frame = countries(daily(84))
    # NL moves and is back in the holdout; the others move and stay: whoever learns from both is worse in NL
    moved = frame["day"].between(42, 69) | ((frame["day"] >= 70) & (frame["country"] != "NL"))
    frame.loc[moved, "y"] += 4
    frame["nl"] = (frame["country"] == "NL").astype(float)
    gate = "margin: 60%, slices: [country, number, truth], refit_shift: 100"

    def at(day):
        text = (TEXT % ("", "Ridge", gate)).replace("[x]", "[x, nl]")
        return bench.write(text, d=frame.drop(columns="day")).run(as_of=on(day)).outcomes["m"]

    assert at(42)[0] == "promoted"
    word, because = at(84)
    assert (word, "where country=NL" in because) == ("rejected", True)
    verdict = bench.version("m", attempt=True).verdict
    slices = {(one["column"], one["value"]): one for one in verdict["slices"]}
    assert list(slices) == [
        ("country", None), ("country", "BE"), ("country", "DE"), ("country", "NL"),
        ("number", "0"), ("number", "1"), ("number", "2"), ("truth", "false"), ("truth", "true"),
    ]  # fmt: skip
    assert verdict["difference"]["upper"] < verdict["difference"]["margin"]
    harmed = slices["country", "NL"]
    assert harmed["harmed"]
    assert harmed["lower"] > harmed["margin"] == pytest.approx(0.6 * harmed["champion"])
    assert harmed["adjusted"] <= 0.05
    assert harmed["clusters"] == 14
    assert not any(one["harmed"] for key, one in slices.items() if key != ("country", "NL"))
    assert (
        sum(one["rows"] for (column, _), one in slices.items() if column == "number")
        == verdict["holdout"]["rows"]
    )


def test_slices_do_not_change_what_is_fitted_and_a_column_of_many_values_is_refused(bench):
    frame = countries(daily(84))
    write(bench, frame, "slices: [country]").run(as_of=on(56))
    version = bench.state("m").version
    assert write(bench, frame, "slices: [truth]").run(as_of=on(56)).outcomes["m"][0] == "kept"
    assert bench.state("m").version == version
    for column, told in (("x", "ranges of x"), ("id", "ranges of id")):
        with pytest.raises(DataError, match=rf"the slice {column} has .* values") as caught:
            write(bench, frame, f"slices: [{column}]").run(as_of=on(56))
        assert told in caught.value.next_step
    with pytest.raises(ManifestError, match="has no column `land`"):
        write(bench, frame, "slices: [land]").run(as_of=on(56))


BY = "partition_by: [country]"


def test_nodes_of_a_model_get_one_verdict_which_their_added_losses_make(bench):
    frame = countries(daily(84)).assign(country=lambda f: f["country"].fillna("FR"))
    gate = "margin: 30%, refit_shift: 100, slices: [truth], by: "
    write(bench, frame, gate + "model", BY).run(as_of=on(42))
    # one flaky country, worse by far; the others are as they were
    frame = changed(frame, ["NL"], since=56)
    found = write(bench, frame, gate + "model", BY).run(as_of=on(84))
    states = bench.store().read_head().nodes
    assert {state.attempt.outcome for state in states.values()} == {"promoted"}
    verdict = bench.version("m[country=NL]").verdict
    assert verdict["because"].startswith("with 4 nodes of m: not worse than the champion")
    # by itself it would have been rejected: its own numbers are on record
    assert verdict["difference"]["upper"] > verdict["difference"]["margin"]
    pooled = verdict["pooled"]
    days = [bench.version(node).verdict["difference"]["by_cluster"] for node in states]
    total = {
        key: np.sum([node[key] for node in days], axis=0) for key in ("weight", "challenger", "champion")
    }
    losses = {key: total[key].sum() / total["weight"].sum() for key in ("challenger", "champion")}
    assert pooled["difference"]["value"] == pytest.approx(losses["challenger"] - losses["champion"])
    assert pooled["challenger"]["mean_squared_error"] == pytest.approx(losses["challenger"])
    assert pooled["difference"]["rows"] == 14 * 40
    assert (pooled["nodes"], pooled["difference"]["clusters"]) == (4, 14)
    assert {word for word, _ in found.outcomes.values()} == {"promoted"}


def test_the_run_keeps_the_verdict_of_a_model_once_with_its_slices(bench):
    frame = countries(daily(84)).assign(country=lambda f: f["country"].fillna("FR"))
    gate = "margin: 30%, refit_shift: 100, slices: [truth], by: model"
    write(bench, frame, gate, BY).run(as_of=on(42))
    (pool,) = write(bench, frame, gate, BY).run(as_of=on(84)).record["pools"]
    assert (pool["model"], pool["nodes"], pool["comparison"]) == ("m", 4, "refresh")
    assert [(one["value"], one["rows"]) for one in pool["slices"]] == [("false", 280), ("true", 280)]


def test_a_pool_of_one_node_is_that_node(bench):
    frame = countries(daily(84))
    verdicts = {}
    for by in ("node", "model"):
        gate = f"margin: 5%, slices: [country], by: {by}"
        write(bench, frame, gate).run(as_of=on(42), store=by)
        write(bench, frame, gate).run(as_of=on(84), store=by)
        verdicts[by] = bench.version("m", by, attempt=True).verdict
    own, pooled = verdicts["node"], verdicts["model"]["pooled"]
    for key in ("value", "champion_loss", "margin", "rows", "clusters"):
        assert pooled["difference"][key] == pytest.approx(own["difference"][key])
    # other draws, but the same sums
    assert pooled["difference"]["upper"] == pytest.approx(own["difference"]["upper"], rel=0.2, abs=0.01)


def test_a_node_whose_own_labels_cannot_be_is_left_out_of_its_model(bench):
    frame = countries(daily(84)).assign(country=lambda f: f["country"].fillna("FR"))
    gate = "margin: 30%, refit_shift: 100, by: model"
    write(bench, frame, gate, BY).run(as_of=on(42))
    frame.loc[(frame["country"] == "NL") & (frame["day"] >= 79), "y"] *= 60
    outcomes = write(bench, frame, gate, BY).run(as_of=on(84)).outcomes
    word, because = outcomes.pop("m[country=NL]")
    assert (word, because.startswith("suspect data")) == ("rejected", True)
    assert {word for word, _ in outcomes.values()} == {"promoted"}
    assert all("with 3 nodes of m" in because for _, because in outcomes.values())


def test_first_versions_are_judged_together_too_and_limits_are_of_all_their_rows(bench):
    frame = countries(daily(84)).assign(country=lambda f: f["country"].fillna("FR"))
    noisy = frame["country"] == "NL"
    frame.loc[noisy, "y"] += 3 * np.random.default_rng(1).normal(size=int(noisy.sum()))
    limit = "limits: {mean_squared_error: {max: 5}}, refit_shift: 100"
    alone = write(bench, frame, limit, BY).run(as_of=on(84), store="node").outcomes
    assert alone["m[country=NL]"][0] == "rejected"
    together = write(bench, frame, limit + ", by: model", BY).run(as_of=on(84)).outcomes
    assert {word for word, _ in together.values()} == {"promoted"}
    verdict = bench.version("m[country=NL]").verdict
    assert (verdict["limits"][0]["passed"], verdict["limits"][0]["blocking"]) == (False, False)
    assert verdict["pooled"]["limits"][0]["passed"]


def test_by_folds_groups_are_added_up_over_nodes(bench):
    frame = countries(daily(30)).assign(country=lambda f: f["country"].fillna("FR"))
    frame["who"] = frame["id"] // 8
    text = """
datasets: {d: {path: d.parquet, key: [id], group: who}}
models:
  m: {dataset: d, partition_by: [country], target: y, features: [x], estimator: %s, gate: {by: model, margin: 5%%}}
"""
    frame = frame[["id", "x", "y", "country", "who"]]
    bench.write(text % "{type: Ridge, parameters: {alpha: 5000}}", d=frame).run()
    better = bench.write(text % "Ridge", d=frame).run()
    assert {word for word, _ in better.outcomes.values()} == {"promoted"}
    pooled = bench.version("m[country=NL]").verdict["pooled"]
    assert (pooled["comparison"], pooled["nodes"]) == ("recipe", 4)
    assert pooled["difference"]["rows"] == len(frame)
    assert pooled["difference"]["clusters"] <= 150  # the groups of all nodes, not those of each


@pytest.mark.parametrize(
    ("metrics", "gate"),
    [
        ("[r2]", "by: model, margin: {absolute: 1}"),
        ("[mean_squared_error]", "by: model, limits: {r2: {min: 0}}"),
    ],
)
def test_metrics_that_cannot_be_added_up_are_refused_by_name(bench, metrics, gate):
    write(bench, countries(daily(30)), gate, f"{BY}\n    metrics: {metrics}")
    with pytest.raises(ManifestError, match="adds the losses of its nodes up, and r2 is no sum"):
        bench.run(as_of=on(30))


def test_a_reader_learns_from_nodes_that_were_judged_together(bench):
    frame = countries(daily(98)).assign(country=lambda f: f["country"].fillna("FR"))
    text = (
        (TEXT % (BY, "Ridge", "by: model, margin: 30%, refit_shift: 100"))
        + """
  r: {dataset: d, target: {column: y, known_after: 0d}, inputs: {m: {}}, estimator: Ridge, gate: {refit_shift: 100}}
"""
    )
    bench.write(text, d=frame.drop(columns="day"))
    for day in (70, 98):
        assert {word for word, _ in bench.run(as_of=on(day)).outcomes.values()} == {"promoted"}
