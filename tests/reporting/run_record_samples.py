"""Run records for the tests of the report: a realistic one of 34 nodes, a first release, and large ones.

Everything is generated from a fixed seed, so that a page can be compared byte for byte.
"""

from __future__ import annotations

import random
from typing import Any

Record = dict[str, Any]

ORIGINS = ("EWR", "JFK", "LGA")
CARRIERS = ("9E", "AA", "B6", "DL", "EV", "MQ", "UA", "US", "VX", "WN")
MSE, LOG_LOSS, AUC = "mean_squared_error", "log_loss", "roc_auc"

# model -> (partition column, values, upstream models, estimator, metric, typical loss, description)
FLIGHTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...], str, str, float, str]] = {
    "congestion": (
        "origin",
        ORIGINS,
        (),
        "HistGradientBoostingRegressor",
        MSE,
        410.0,
        "mean delay of an hour",
    ),
    "cancel_share": ("origin", ORIGINS, (), "Ridge", MSE, 0.0041, "share of an hour's flights cancelled"),
    "air_time": ("band", ("short", "mid", "long"), (), "Ridge", MSE, 92.0, "minutes in the air"),
    "dep_delay": (
        "origin",
        ORIGINS,
        ("congestion",),
        "XGBRegressor",
        MSE,
        1502.0,
        "departure delay, minutes",
    ),
    "cancelled": (
        "origin",
        ORIGINS,
        ("cancel_share",),
        "XGBClassifier",
        LOG_LOSS,
        0.094,
        "flight is cancelled",
    ),
    "arr_delay": (
        "carrier",
        CARRIERS,
        ("dep_delay", "cancelled", "air_time"),
        "XGBRegressor",
        MSE,
        1688.0,
        "arrival delay, minutes",
    ),
    "late_15": (
        "origin",
        ORIGINS,
        ("arr_delay", "dep_delay", "cancelled"),
        "XGBClassifier",
        LOG_LOSS,
        0.52,
        "more than 15 minutes late",
    ),
    "late_60": (
        "origin",
        ORIGINS,
        ("arr_delay", "dep_delay"),
        "LogisticRegression",
        AUC,
        0.741,
        "more than 60 minutes late",
    ),
    "risk": ("", (), ("late_15", "late_60"), "RandomForestClassifier", LOG_LOSS, 0.31, "the one number"),
    "crew": ("", (), ("dep_delay",), "GradientBoostingRegressor", MSE, 260.0, "crew overtime"),
    "gate_hold": ("", (), ("congestion",), "Ridge", MSE, 77.0, "minutes held at the gate"),
}

TROUBLE: dict[str, tuple[str, str]] = {
    "dep_delay[origin=LGA]": ("rejected", "worse than the champion by up to 3.4%, and the margin is 2%"),
    "cancelled[origin=JFK]": ("insufficient", "6 clusters in the holdout, and min_clusters is 8"),
    "arr_delay[carrier=MQ]": ("failed", "training raised XGBoostError"),
    "arr_delay[carrier=WN]": (
        "rejected",
        "check shift: predictions of the shipped fit moved by 0.41, limit 0.25",
    ),
    "late_15[origin=LGA]": ("waiting", "won, but risk has no winner trained on it"),
    "crew": ("blocked", "its upstream dep_delay[origin=LGA] has no usable version for 31% of the rows"),
    "risk": ("rejected", "the recipe changed and is not better: difference -0.4% [-1.9%, +1.1%]"),
    "gate_hold": ("cancelled", "the run was stopped before its gate fit"),
}
KEPT = {
    "air_time[band=short]",
    "air_time[band=mid]",
    "air_time[band=long]",
    "cancel_share[origin=EWR]",
    "arr_delay[carrier=VX]",
}

TRACEBACK = """Traceback (most recent call last):
  File "retraining/learn/fitting.py", line 88, in fit
    model.fit(features, target, sample_weight=weights)
  File "xgboost/sklearn.py", line 1247, in fit
    self._Booster = train(params, train_dmatrix, self.get_num_boosting_rounds())
xgboost.core.XGBoostError: Label contains NaN, infinity or a value too large."""


def _names(model: str) -> list[str]:
    column, values = FLIGHTS[model][:2]
    return [f"{model}[{column}={value}]" for value in values] or [model]


def _verdict(rng: random.Random, outcome: str, metric: str, loss: float, *, first: bool) -> Record:
    sign = 1.0 if metric != AUC else -1.0
    champion = loss * (1 + rng.uniform(-0.03, 0.05))
    relative = {"promoted": rng.uniform(-0.09, -0.005), "rejected": rng.uniform(0.01, 0.03)}.get(
        outcome, -0.01
    )
    scale = champion if metric != AUC else 0.2
    value = relative * scale
    # A promoted challenger's right end stays left of the margin, a rejected one's does not.
    half = rng.uniform(0.2, 0.95) * (0.02 - relative) * scale if outcome == "promoted" else 0.03 * scale
    shift = 0.41 if outcome == "rejected" and rng.random() < 0.5 else rng.uniform(0.01, 0.12)
    challenger = champion + sign * value
    dummy = loss * rng.uniform(1.05, 1.35) if metric != AUC else 0.5
    return {
        "verdict": outcome if outcome in ("rejected", "insufficient") else "promoted",
        "comparison": "first" if first else "refresh",
        "metric": metric,
        "holdout": {
            "from": "2013-12-16",
            "to": "2013-12-30",
            "rows": rng.randint(350, 4800),
            "clusters": 6 if outcome == "insufficient" else 14,
            "blocks": 1,
        },
        "challenger": {
            metric: challenger,
            "r2" if metric == MSE else "brier_score_loss": rng.uniform(0.05, 0.3),
        },
        "champion": None if first else {metric: champion},
        "dummy": {metric: dummy},
        "difference": None
        if first or outcome == "insufficient"
        else {
            "value": value,
            "lower": value - half,
            "upper": value + half,
            "margin": 0.02 * champion if metric != AUC else 0.01,
            "kind": "refresh",
        },
        "limits": [{"metric": metric, "value": challenger, "max": loss * 1.4, "min": None, "passed": True}]
        if metric != AUC
        else [{"metric": metric, "value": challenger, "max": None, "min": 0.6, "passed": challenger >= 0.6}],
        "checks": [
            {
                "name": "finite",
                "value": None,
                "limit": None,
                "passed": True,
                "note": "all predictions are finite",
            },
            {
                "name": "reload",
                "value": 0.0,
                "limit": 0.0,
                "passed": True,
                "note": "equal after saving and loading",
            },
            {
                "name": "shift",
                "value": shift,
                "limit": 0.25,
                "passed": shift <= 0.25,
                "note": "shipped fit against gate fit, on rows that neither was trained on",
            },
        ],
    }


def _edges(rng: random.Random, upstreams: tuple[str, ...], metric: str, loss: float) -> list[Record]:
    edges = []
    for column in upstreams:
        without = loss * rng.uniform(1.02, 1.12) if metric != AUC else loss - rng.uniform(0.01, 0.05)
        difference = (loss - without) if metric != AUC else (without - loss)
        difference *= rng.choice((1.0, 1.0, 1.0, 0.2, -0.3))
        half = abs(difference) * rng.uniform(0.2, 0.9) + 0.005 * loss
        edges.append(
            {
                "column": column,
                "metric": metric,
                "with": without + difference if metric != AUC else without - difference,
                "without": without,
                "difference": difference,
                "lower": difference - half,
                "upper": difference + half,
                "rows": rng.randint(350, 4800),
                "clusters": 14,
                "from": "2013-12-16",
                "to": "2013-12-30",
            }
        )
    return edges


def _node(rng: random.Random, name: str, model: str, levels: dict[str, int], *, first: bool) -> Record:
    _, _, upstream_models, estimator, metric, loss, description = FLIGHTS[model]
    loss *= rng.uniform(0.8, 1.2) if metric != AUC else rng.uniform(0.97, 1.03)
    outcome, because = ("promoted", "better than the champion by more than chance")
    if first:
        because = "first release: limits and sanity checks passed"
    elif name in TROUBLE:
        outcome, because = TROUBLE[name]
    elif name in KEPT:
        outcome, because = "kept", "nothing due: its data, definition and upstreams are as they were"
    trained = outcome in ("promoted", "rejected", "waiting", "insufficient")
    ups = [up for other in upstream_models for up in _names(other)]
    if model not in ("arr_delay", "late_15", "late_60", "risk", "crew", "gate_hold"):
        suffix = name[name.index("[") :] if "[" in name else ""
        ups = [up for up in ups if up.endswith(suffix)]
    reasons = [{"kind": "data", "text": "1 new block: 2013-12-16 to 2013-12-30, 4,021 rows"}]
    if first:
        reasons = [{"kind": "new", "text": "never trained"}]
    elif upstream_models:
        reasons.append({"kind": "upstream", "text": f"{upstream_models[0]} changed on 3,988 of 4,021 rows"})
    if name == "risk":
        reasons.insert(0, {"kind": "definition", "text": "estimator.parameters.max_depth: 6, was 8"})
    total = rng.randint(5000, 120_835)
    judged = rng.randint(350, 4800)
    made = rng.randint(14, 28) if trained else 0
    return {
        "node": name,
        "model": model,
        "description": description,
        "owner": "ops" if model in ("risk", "crew") else "",
        "tags": ["nightly"] if model == "risk" else [],
        "level": levels[model],
        "task": "regression" if metric == MSE else "classification",
        "estimator": estimator,
        "upstreams": ups,
        "inputs": [
            {"column": other, "upstreams": _names(other), "coverage": rng.uniform(0.95, 1.0)}
            for other in upstream_models
        ],
        "decision": {
            "action": "keep" if outcome == "kept" else "blocked" if outcome == "blocked" else "retrain",
            "conditional": bool(upstream_models) and not first and outcome != "kept",
            "reasons": [] if outcome == "kept" else reasons,
            "note": "nothing changed since release 1" if outcome == "kept" else "",
        },
        "outcome": outcome,
        "because": because,
        "version": f"{rng.getrandbits(64):016x}" if trained else None,
        "previous": None if first else f"{rng.getrandbits(64):016x}",
        "verdict": _verdict(rng, outcome, metric, loss, first=first) if trained else None,
        "edges": _edges(rng, upstream_models, metric, loss) if trained else [],
        "fits": {
            "made": made,
            "reused": 0 if first else rng.randint(0, 24),
            "seconds": made * rng.uniform(0.1, 0.8),
        },
        "rows": {
            "total": total,
            "trained": total - judged - 120,
            "judged": judged,
            "purged": rng.randint(0, 200),
            "unlabelled": rng.randint(0, 2500),
            "no_upstream": rng.randint(0, 700) if upstream_models else 0,
        },
        "cut": "2013-12-30T00:00:00Z",
        "first_predicted": "2013-01-28" if levels[model] == 0 else "2013-02-11",
        "error": TRACEBACK if outcome == "failed" else None,
    }


def _timeline(rng: random.Random, nodes: list[Record], workers: int) -> tuple[list[Record], float]:
    free = [2.1 + 0.2 * place for place in range(workers)]
    bars = []
    for node in sorted(nodes, key=lambda node: (node["level"], node["node"])):
        made = node["fits"]["made"]
        for fit in range(made):
            worker = min(range(workers), key=lambda place: (free[place], place))
            kind = "gate" if fit == made - 2 else "shipped" if fit == made - 1 else "block"
            if fit < 2 and node["edges"]:
                kind = "comparison"
            seconds = node["fits"]["seconds"] / made * rng.uniform(0.6, 1.4)
            bars.append(
                {
                    "node": node["node"],
                    "fit": f"< 2013-{1 + fit * 12 // max(made, 12):02}-{1 + fit % 28:02}",
                    "kind": kind,
                    "worker": f"10.0.0.7:{4310 + worker}",
                    "start": round(free[worker], 3),
                    "end": round(free[worker] + seconds, 3),
                }
            )
            free[worker] += seconds + 0.02
        if made:
            worker = min(range(workers), key=lambda place: (free[place], place))
            bars.append(
                {
                    "node": node["node"],
                    "fit": "",
                    "kind": "score",
                    "worker": f"10.0.0.7:{4310 + worker}",
                    "start": round(free[worker], 3),
                    "end": round(free[worker] + 0.3, 3),
                }
            )
            free[worker] += 0.32
    return bars, max(free)


def flights_record(*, first: bool = False, seed: int = 7) -> Record:
    """A run of 34 nodes on six levels: a first release, or a second run in which much goes wrong."""
    rng = random.Random(seed)
    levels: dict[str, int] = {}
    for model, (_, _, ups, *_rest) in FLIGHTS.items():
        levels[model] = 1 + max((levels[up] for up in ups), default=-1)
    nodes = [_node(rng, name, model, levels, first=first) for model in FLIGHTS for name in _names(model)]
    timeline, end = _timeline(rng, nodes, workers=2)
    counts: dict[str, int] = {}
    for node in nodes:
        counts[node["outcome"]] = counts.get(node["outcome"], 0) + 1
    made = sum(node["fits"]["made"] for node in nodes)
    return {
        "format": 1,
        "run": "20261123T140000Z-7f3a",
        "started": "2026-11-23T14:00:00Z",
        "ended": "2026-11-23T14:02:50Z",
        "as_of": "2013-12-31T00:00:00Z",
        "manifest": {
            "name": "flights",
            "file": "manifests/flights/flights.yaml",
            "digest": "sha256:" + "3f9a" * 16,
        },
        "store": "file:///data/stores/flights",
        "backend": "ray",
        "slots": 2,
        "release": {"before": None, "after": 1, "sequence": 1}
        if first
        else {"before": 1, "after": 2, "sequence": 2},
        "exit_code": 0 if first else 1,
        "counts": counts,
        "fits": {"made": made, "reused": sum(node["fits"]["reused"] for node in nodes), "comparisons": 60},
        "seconds": {"total": end + 1.5, "training": sum(node["fits"]["seconds"] for node in nodes)},
        "nodes": nodes,
        "timeline": timeline,
        "skipped_partitions": [
            {"model": "arr_delay", "partition": "carrier=OO", "rows": 32, "why": "fewer than min_rows: 100"},
            {
                "model": "arr_delay",
                "partition": "carrier=HA",
                "rows": 342,
                "why": "not among partitions.only",
            },
        ],
    }


def large_record(nodes: int = 2000, models: int = 8, *, seed: int = 3) -> Record:
    """A run of many partitions of few models, or (models near nodes) of many models."""
    rng = random.Random(seed)
    record = flights_record(first=False)
    per_model = nodes // models
    depth = 4
    items: list[Record] = []
    for model in range(models):
        level = model * depth // models
        above = [m for m in range(models) if m * depth // models == level - 1]
        for place in range(per_model):
            outcome = rng.choices(("promoted", "kept", "rejected", "failed"), (80, 15, 4, 1))[0]
            name = f"demand_{model}[store={place % 40},item={place}]" if per_model > 1 else f"demand_{model}"
            ups = (
                [f"demand_{up}[store={place % 40},item={place}]" for up in above]
                if per_model > 1
                else [f"demand_{up}" for up in above[: 1 + model % 3]]
            )
            items.append(
                {
                    "node": name,
                    "model": f"demand_{model}",
                    "level": level,
                    "estimator": "Ridge",
                    "upstreams": ups,
                    "decision": {"action": "retrain", "reasons": [{"kind": "data", "text": "1 new block"}]},
                    "outcome": outcome,
                    "because": f"reason {place % 7}" if outcome != "promoted" else "better",
                    "verdict": _verdict(rng, outcome, MSE, 10.0, first=False),
                    "edges": _edges(rng, tuple(f"demand_{up}" for up in above[:2]), MSE, 10.0),
                    "fits": {"made": 5, "reused": 20, "seconds": 0.2},
                    "rows": {"total": 900, "trained": 700, "judged": 60},
                }
            )
    record["nodes"] = items
    record["timeline"] = [
        {
            "node": item["node"],
            "fit": f"< {fit}",
            "kind": "block",
            "worker": f"10.0.{place % 16}.1:1",
            "start": (place // 16) * 0.25 + fit * 0.05,
            "end": (place // 16) * 0.25 + fit * 0.05 + 0.045,
        }
        for place, item in enumerate(items)
        for fit in range(5)
    ]
    record["slots"], record["fits"] = 16, None
    record["seconds"] = {"total": len(items) / 16 * 0.25 + 3, "training": len(items) * 0.225}
    return record
