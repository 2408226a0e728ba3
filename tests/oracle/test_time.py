"""The time scheme against a naive loop, and what must not change when data arrives."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .trips import MANIFEST, begin, block_of, naive, trips
from .workbench import Bench, numbers

AS_OF = "2024-05-20T12:00:00Z"


def ridge():
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), Ridge())


def forest():
    return RandomForestRegressor(n_estimators=5, max_depth=4, random_state=1)


def logistic():
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression())


def recorded(version, block, width=1):
    """What a version's column holds on each of the node's rows, block by block, by the fit that made it."""
    cut = version.document["cut_block"]
    found = np.full((len(block), width), np.nan)
    for b in sorted(set(block)):
        fit = f"<{min(b, cut)}"
        if fit in version.fits and b in version.column(fit):
            found[block == b] = version.column(fit)[b]
    return found


@pytest.fixture
def released(bench: Bench):
    hours, frame = trips()
    bench.write(MANIFEST, hours=hours, trips=frame)
    outcome = bench.run(AS_OF)
    assert {word for word, _ in outcome.outcomes.values()} == {"promoted"}, outcome.outcomes
    visible = frame[frame["t"] <= AS_OF].sort_values("id", ignore_index=True)
    return bench, hours[hours["at"] <= AS_OF].sort_values(["place", "at"], ignore_index=True), visible


def test_every_block_of_every_column_equals_the_naive_loop_through_two_edges(released):
    bench, hours, rows = released
    cut = int(block_of(pd.Series([pd.Timestamp(AS_OF)]))[0])
    assert bench.version("base").document["cut_block"] == cut
    x = hours[["wind", "heat"]].to_numpy()
    # a missing feature is imputed in each fit; only a missing upstream prediction leaves a row out
    every = np.ones(len(hours), bool)
    weather, fits = naive(hours, "at", hours["at"] + pd.Timedelta("1D"), "load", x, every, ridge, cut)
    found = recorded(bench.version("weather"), block_of(hours["at"]))
    assert np.array_equal(found[:, 0], weather, equal_nan=True)
    shipped = bench.version("weather").model(f"<{cut}").predict(numbers(x, ["wind", "heat"]))
    assert np.allclose(shipped[:, 0], fits[cut].predict(x), rtol=1e-12)

    joined = pd.Series(weather, index=pd.MultiIndex.from_frame(hours[["place", "at"]]))
    handed = joined.reindex(list(zip(rows["place"], rows["day"], strict=True))).to_numpy()
    x = np.column_stack([handed, rows["x1"]])
    # a forest takes NaN, so a trip without a weather prediction is learnt from and predicted; top drops it
    every = np.ones(len(rows), bool)
    base, _ = naive(rows, "t", rows["landed"], "delay", x, every, forest, cut)
    found = recorded(bench.version("base"), block_of(rows["t"]))
    assert np.array_equal(found[:, 0], base, equal_nan=True)

    x = np.column_stack([base, rows["x2"]])
    known = rows["t"] + pd.Timedelta("3D")
    top, fits = naive(rows, "t", known, "late", x, ~np.isnan(base), logistic, cut, "predict_proba")
    _check_gate(bench.version("top"), rows, top)
    shipped = bench.version("top").model(f"<{cut}").predict(numbers(x[~np.isnan(base)], ["base", "x2"]))
    assert np.allclose(shipped, fits[cut].predict_proba(x[~np.isnan(base)]), rtol=1e-9)


def _check_gate(version, rows, expected):
    holdout = version.document["data"]["holdout"]
    mature = [
        b
        for b in sorted(set(block_of(rows["t"])))
        if begin(b + 1) + pd.Timedelta("3D") <= pd.Timestamp(AS_OF)
    ]
    assert holdout == mature[-1:]
    judged = (
        np.isin(block_of(rows["t"]), holdout) & rows["late"].notna().to_numpy() & ~np.isnan(expected[:, 0])
    )
    loss = log_loss(rows["late"][judged], expected[judged], labels=["late", "on time"])
    assert version.verdict["challenger"]["log_loss"] == pytest.approx(loss, rel=1e-9)
    assert (
        version.verdict["holdout"]["clusters"]
        == rows["t"][judged].dt.tz_convert("America/New_York").dt.date.nunique()
    )


def test_the_holdout_of_labels_with_their_own_moments_ends_where_98_percent_are_known(released):
    bench, _, rows = released
    now = pd.Timestamp(AS_OF)
    known = rows["delay"].notna() & (rows["landed"] <= now)
    delay = np.quantile((rows["landed"] - rows["t"])[known].dt.total_seconds(), 0.98, method="higher")
    mature = [
        b for b in sorted(set(block_of(rows["t"]))) if begin(b + 1) + pd.Timedelta(seconds=delay) <= now
    ]
    version = bench.version("base")
    assert version.document["data"]["holdout"] == mature[-1:]
    column = recorded(version, block_of(rows["t"]))[:, 0]
    judged = known.to_numpy() & (block_of(rows["t"]) == mature[-1]) & ~np.isnan(column)
    expected = mean_squared_error(rows["delay"][judged], column[judged])
    assert version.verdict["challenger"]["mean_squared_error"] == pytest.approx(expected, rel=1e-9)


def test_labels_from_a_block_on_change_no_prediction_up_to_it(released):
    bench, hours, rows = released
    blocks = sorted(set(block_of(rows["t"])))
    border = blocks[6]
    late = block_of(rows["t"]) >= border
    changed = rows.copy()
    changed.loc[late, "delay"] = changed.loc[late, "delay"] * -7 + 100
    changed.loc[late, "late"] = changed.loc[late, "late"].map({"late": "on time", "on time": "late"})
    hours = hours.copy()
    hours.loc[block_of(hours["at"]) >= border, "load"] *= -3
    bench.write(MANIFEST, hours=hours, trips=changed)
    bench.run(AS_OF, store="other")
    for node in ("weather", "base", "top"):
        before = bench.version(node)
        after = bench.version(node, "other", attempt=True)
        compared = 0
        for block in (b for b in blocks if b <= border):
            name = f"<{block}"
            if name in before.fits and block in before.column(name):
                assert np.array_equal(before.column(name)[block], after.column(name)[block], equal_nan=True)
                compared += 1
        # nobody reads top, so it has no block fits
        assert compared >= 3 or node == "top"
        assert before.fits[f"<{before.document['cut_block']}"] not in after.fits.values()


def test_appended_rows_and_late_labels_change_no_old_fit(bench: Bench):
    hours, frame = trips(n=800, days=160)
    now, later = pd.Timestamp("2024-04-22T12:00:00Z"), "2024-05-20T12:00:00Z"
    early = frame[frame["t"] <= now].copy()
    # labels that are not known yet are not in the file yet
    early.loc[early["landed"] > now, ["delay", "landed"]] = [np.nan, pd.NaT]
    early.loc[early["t"] + pd.Timedelta("3D") > now, "late"] = None
    bench.write(MANIFEST, hours=hours[hours["at"] <= now], trips=early)
    first = bench.run(now.isoformat())
    before = {node: bench.version(node) for node in ("weather", "base", "top")}
    bench.write(MANIFEST, hours=hours, trips=frame)
    second = bench.run(later)
    assert first.after.sequence < second.after.sequence
    for node, old in before.items():
        new = bench.version(node, attempt=True)
        shared = set(old.fits) & set(new.fits)
        assert {name: old.fits[name] for name in shared} == {name: new.fits[name] for name in shared}, node
        assert shared >= ({f"<{old.document['cut_block']}"} if node != "top" else set())
    assert second.fits_made < first.fits_made


FORMS = {
    "parquet": "trips.parquet",
    "csv": "trips.csv",
    "jsonl": "trips.jsonl",
    "folder": "parts",
    "glob": "parts/**/*.parquet",
}


@pytest.mark.slow
def test_row_order_format_and_partitioning_of_files_do_not_change_the_release(bench: Bench):
    hours, frame = trips(n=500, days=120)
    digests = {}
    for form, path in FORMS.items():
        types = ", types: {day: timestamp, landed: timestamp}" if form in ("csv", "jsonl") else ""
        text = MANIFEST.replace("path: trips.parquet", f"path: '{path}'{types}")
        bench.write(text, hours=hours.sample(frac=1, random_state=len(digests)))
        _write(bench, form, frame.sample(frac=1, random_state=len(digests) + 1))
        outcome = bench.run("2024-05-01T00:00:00Z", store=f"store-{form}")
        assert outcome.exit_code == 0
        digests[form] = outcome.after.logical()
    assert len(set(digests.values())) == 1, digests


def _write(bench, form, frame):
    folder = bench.folder
    if form == "csv":
        frame.assign(**{c: frame[c].map(pd.Timestamp.isoformat) for c in ("day", "t", "landed")}).to_csv(
            folder / "trips.csv", index=False
        )
    elif form == "jsonl":
        texts = frame.assign(**{c: frame[c].map(pd.Timestamp.isoformat) for c in ("day", "t", "landed")})
        records = texts.astype(object).where(texts.notna(), None).to_dict("records")
        # json writes every digit of a float
        (folder / "trips.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    elif form == "parquet":
        frame.to_parquet(folder / "trips.parquet", index=False, row_group_size=50)
    else:
        for part, rows in frame.groupby(frame["id"] % 3):
            (folder / "parts" / str(part)).mkdir(parents=True, exist_ok=True)
            rows.to_parquet(folder / "parts" / str(part) / "p.parquet", index=False)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_ray_and_serial_give_the_same_release(bench: Bench):
    hours, frame = trips(n=500, days=120)
    bench.write(MANIFEST, hours=hours, trips=frame)
    serial = bench.run("2024-05-01T00:00:00Z")
    on_ray = bench.run("2024-05-01T00:00:00Z", store="ray", backend="ray")
    assert on_ray.exit_code == 0
    assert on_ray.after.logical() == serial.after.logical()
    assert on_ray.fits_made == serial.fits_made


def test_random_labels_score_a_half_through_two_edges_in_time(bench: Bench):
    rng = np.random.default_rng(5)
    n = 2400
    frame = pd.DataFrame({"id": np.arange(n), "place": [f"p{v}" for v in rng.integers(0, 150, n)]})
    frame["t"] = pd.Timestamp("2024-01-08", tz="UTC") + pd.to_timedelta(rng.integers(0, 168 * 24, n), "h")
    frame["x"] = rng.normal(size=n)
    frame["label"] = rng.integers(0, 2, n)
    tree = "{type: DecisionTreeClassifier, parameters: {random_state: 0}}"
    forest = (
        "{type: RandomForestClassifier, parameters: {n_estimators: 8, min_samples_leaf: 5, random_state: 0}}"
    )
    target = "dataset: d, target: {column: label, known_after: 1d}"
    text = f"""
datasets: {{d: {{path: d.parquet, key: [id], time: t}}}}
validation: {{scheme: time, blocks: 2w, holdout: 5, min_train: {{rows: 100, blocks: 1}}}}
defaults: {{metrics: [log_loss, roc_auc], gate: {{refit_shift: 100}}}}
models:
  a: {{{target}, features: [place], estimator: {tree}}}
  b: {{{target}, features: [x, place], estimator: {forest}, inputs: {{a: {{}}}}}}
  c: {{{target}, features: [x], estimator: {forest}, inputs: {{b: {{}}}}}}
"""
    bench.write(text, d=frame)
    bench.run("2024-06-24")
    for node in "abc":
        score = bench.version(node).verdict["challenger"]["roc_auc"]
        assert abs(score - 0.5) < 0.05, node
