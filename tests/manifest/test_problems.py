"""Each kind of mistake is one problem, with its place, its path and its next step."""

# A case stands on one line, so that its columns can be read.
# ruff: noqa: E501

from __future__ import annotations

import pytest

BASE = """\
manifest: 1
name: shop
datasets:
  days: {path: days.csv, key: [shop, day], time: day}
  shops: {path: shops.csv, key: [shop]}
models:
  sales:
    dataset: days
    target: {column: sold, known_after: 1d}
    features: [price, weekday]
    estimator: Ridge
  visits:
    dataset: days
    target: {column: visited, known_after: 0d}
    inputs: {sales: {}}
    estimator: {type: LogisticRegression, parameters: {C: 0.5}}
  rent:
    dataset: shops
    target: rent
    features: [area]
    estimator: {type: RandomForestRegressor, parameters: {max_depth: 3}}
"""

SALES = "    estimator: Ridge\n"
VISITS = "    inputs: {sales: {}}\n"
RENT = "    features: [area]\n"


def in_sales(line):
    return SALES, f"{SALES}    {line}\n"


def in_visits(line):
    return VISITS, f"{VISITS}    {line}\n"


def in_rent(line):
    return RENT, f"{RENT}    {line}\n"


def at_top(line):
    return "datasets:\n", f"{line}\ndatasets:\n"


# (what is replaced, by what), line, column, path, words of the message, words of the next step
CASES = {
    # the top
    "unknown field": (("name: shop", "nmae: shop"), 2, 1, "nmae", "unknown field `nmae`", "`name`"),
    "required field": (("name: shop\n", ""), 1, 1, "", "no `name`", "add `name`"),
    "version": (("manifest: 1", "manifest: 2"), 1, 11, "manifest", "expected 1; found the number 2", "manifest: 1"),
    "name unsafe": (("name: shop", "name: ../shop"), 2, 7, "name", "a name of letters", "another name"),
    "name is a number": (("name: shop", "name: 12"), 2, 7, "name", "the number 12", 'in quotes: "12"'),
    "name is empty": (("name: shop", "name:"), 2, 6, "name", "found nothing", "leave the line out"),
    "time zone": (at_top("timezone: Europe/Berlim"), 3, 11, "timezone", "no time zone", "Europe/Berlin"),
    "time zone outside": (at_top("timezone: ../UTC"), 3, 11, "timezone", "no time zone", ""),
    "seed": (at_top("seed: -1"), 3, 7, "seed", "from 0 to", ""),
    "seed is a truth value": (at_top("seed: true"), 3, 7, "seed", "the truth value true", ""),
    "later feature": (at_top("webhooks: [x.yaml]"), 3, 1, "webhooks", "unknown field `webhooks`", ""),
    "include is a list": (at_top("include: x.yaml"), 3, 10, "include", "a list of files", "[x.yaml]"),
    "kept fits": (at_top("keep_fits: some"), 3, 12, "keep_fits", "one of none, all", ""),
    "kept fits by number": (at_top("keep_fits: {last: 0}"), 3, 19, "keep_fits.last", "a whole number from 1", ""),
    "half a CPU more": (in_rent("resources: {cpus: 1.5}"), 21, 23, "models.rent.resources.cpus", "a part of one, or a whole number", "write 2"),
    "no CPU": (in_rent("resources: {cpus: 0}"), 21, 23, "models.rent.resources.cpus", "a number above 0", "leave the line out"),
    "negative GPUs": (in_rent("resources: {gpus: -1}"), 21, 23, "models.rent.resources.gpus", "a number of 0 or more", ""),
    "memory in words": (in_rent("resources: {memory: lots}"), 21, 25, "models.rent.resources.memory", "bytes, or a size", "4GiB"),
    "no resources": (in_rent("resources: {}"), 21, 16, "models.rent.resources", "at least one of", ""),
    "empty list": (in_sales("partition_by: []"), 12, 19, "models.sales.partition_by", "at least 1 columns", ""),
    # datasets
    "dataset without key": ((", key: [shop, day]", ""), 4, 3, "datasets.days", "no `key`", "add `key`"),
    "key as a word": (("key: [shop]}", "key: shop}"), 5, 33, "datasets.shops.key", "a list of columns", "[shop]"),
    "column type": (("key: [shop]}", "key: [shop], types: {shop: str}}"), 5, 55, "datasets.shops.types.shop", "one of int", "string"),
    "format": (("path: shops.csv", "path: shops.csv, format: parket"), 5, 36, "datasets.shops.format", "one of parquet", "parquet"),
    "repeated item": (("key: [shop]}", "key: [shop, shop]}"), 5, 40, "datasets.shops.key[1]", "already item 0", "remove"),
    "dataset names equal but for case": (("models:\n", "  Days: {path: x, key: [a]}\nmodels:\n"), 6, 3, "datasets.Days", "only in case from `days` at line 4", "another name"),
    # validation
    "scheme missing": (at_top("validation: {folds: 5}"), 3, 1, "validation", "no `scheme`", "time: calendar"),
    "scheme unknown": (at_top("validation: {scheme: fold}"), 3, 22, "validation.scheme", "one of time, folds", "folds"),
    "field of the other scheme": (at_top("validation: {scheme: folds, blocks: 2w}"), 3, 29, "validation.blocks", "unknown field `blocks`", "belongs to `scheme: time`"),
    "predefined without column": (at_top("validation: {scheme: predefined}"), 3, 1, "validation", "no `column`, which is required", "add `column`"),
    "predefined with a number": (at_top("validation: {scheme: predefined, column: f, folds: 3}"), 3, 45, "validation.folds", "unknown field `folds`", "remove `folds`"),
    "blocks are whole days": (at_top("validation: {scheme: time, blocks: 36h}"), 3, 36, "validation.blocks", "whole days", "2w"),
    "blocks are at least a day": (at_top("validation: {scheme: time, blocks: 0d}"), 3, 36, "validation.blocks", "whole days", "2w"),
    "duration": (at_top("validation: {scheme: time, embargo: 2 days}"), 3, 37, "validation.embargo", "a duration", "14d"),
    "time scheme without time": (("key: [shop]}", "key: [shop], validation: {scheme: time}}"), 5, 53, "datasets.shops.validation", "has no `time`", "time: COLUMN"),
    "time scheme without any time": (
        ("""manifest: 1
name: shop
datasets:
  days: {path: days.csv, key: [shop, day], time: day}""", """manifest: 1
name: shop
validation: {scheme: time}
datasets:
  days: {path: days.csv, key: [shop, day]}"""), 3, 13, "validation", "no dataset has `time`", "scheme: folds"),
    # names of models and datasets
    "model name": (("  rent:\n", "  rent.eu:\n"), 17, 3, 'models["rent.eu"]', "a name of letters", "another"),
    "model names equal but for case": (("  rent:\n", "  Sales:\n"), 17, 3, "models.Sales", "only in case from `sales`", "another"),
    "unknown dataset": (("dataset: shops", "dataset: shop"), 18, 14, "models.rent.dataset", "no dataset `shop`", "`shops`"),
    "unknown upstream": (("{sales: {}}", "{sale: {}}"), 15, 14, "models.visits.inputs.sale", "no model `sale`", "`sales`"),
    "unknown model field": (("    features: [area]", "    feature: [area]"), 20, 5, "models.rent.feature", "unknown field `feature`", "`features`"),
    "a slice that is no list": (in_rent("gate: {slices: area}"), 21, 20, "models.rent.gate.slices", "a list", "write [area]"),
    "judged by what": (in_rent("gate: {by: shop}"), 21, 16, "models.rent.gate.by", "one of node, model", ""),
    # inputs
    "own prediction": (("{sales: {}}", "{visits: {}}"), 15, 14, "models.visits.inputs.visits", "recursive forecasts", "lagged label"),
    "inputs as a list": (("{sales: {}}", "[sales]"), 15, 13, "models.visits.inputs", "a mapping from upstream models", ""),
    "edge without braces": (("{sales: {}}", "{sales: }"), 15, 21, "models.visits.inputs.sales", "found nothing", "write {}"),
    "coverage": (("{sales: {}}", "{sales: {coverage: 95}}"), 15, 32, "models.visits.inputs.sales.coverage", "a share", "95% or 0.95"),
    "missing policy": (("{sales: {}}", "{sales: {missing: zero}}"), 15, 31, "models.visits.inputs.sales.missing", "one of drop, nan, refuse", ""),
    "feature named like a column": (in_visits("features: [sales]"), 15, 14, "models.visits.inputs.sales", "which is a feature too", "`as`"),
    # target
    "target among features": (("[price, weekday]", "[price, sold]"), 10, 23, "models.sales.features[1]", "the target `sold`", "its own label"),
    "moment among features": (("[price, weekday]", "[price, day]"), 10, 23, "models.sales.features[1]", "the dataset's `time`", "weekday"),
    "no label time": (("{column: sold, known_after: 1d}", "sold"), 9, 13, "models.sales.target", "when the label `sold` is known", "known_after: 0d where the label is known at once"),
    "no label time in a mapping": ((", known_after: 1d", ""), 9, 13, "models.sales.target", "when the label `sold` is known", "known_after: 0d"),
    "two label times": (("known_after: 1d", "known_after: 1d, known_at: seen"), 9, 13, "models.sales.target", "both written", "keep one"),
    "label time by folds": (("target: rent", "target: {column: rent, known_after: 0d}"), 19, 41, "models.rent.target.known_after", "no meaning in the fold scheme", "remove it"),
    "nothing to learn from": (("    features: [area]\n", ""), 17, 3, "models.rent", "neither features nor inputs", "features"),
    # partitions
    "partitions without partition_by": (in_sales("partitions: {min_rows: 5}"), 12, 17, "models.sales.partitions", "without `partition_by`", "partition_by"),
    "partitioned by the target": (in_sales("partition_by: [sold]"), 12, 20, "models.sales.partition_by[0]", "the target `sold`", "known when"),
    "no such word for small partitions": (in_sales("partition_by: [shop]\n    partitions: {small: pol}"), 13, 25, "models.sales.partitions.small", "one of skip, pool, error", "pool"),
    "partition value of two columns": (in_sales("partition_by: [shop, kind]\n    partitions: {only: [a]}"), 13, 25, "models.sales.partitions.only[0]", "1 values for the 2 columns", "one list"),
    "partition value is nothing": (in_sales("partition_by: [shop]\n    partitions: {only: [a, null]}"), 13, 28, "models.sales.partitions.only[1]", "found nothing", ""),
    "partition both in and out": (in_sales("partition_by: [shop]\n    partitions: {only: [a, b], except: [b]}"), 13, 40, "models.sales.partitions.except", "b stands in both", "keep one"),
    # estimator
    "no estimator": (("    estimator: Ridge\n", ""), 7, 3, "models.sales", "no `estimator`", "estimator: Ridge"),
    "unknown estimator": (("estimator: Ridge", "estimator: Rigde"), 11, 16, "models.sales.estimator", 'no estimator "Rigde"', "`Ridge`"),
    "estimator with its module": (("estimator: Ridge", "estimator: sklearn.linear_model.Ridge"), 11, 16, "models.sales.estimator", "no estimator", "write Ridge"),
    "value of a parameter": (("max_depth: 3", "max_depth: -3"), 21, 70, "models.rent.estimator.parameters.max_depth", "cannot be -3", "a whole number of at least 1 or null (default null)"),
    "unknown parameter": (("max_depth: 3", "max_dept: 3"), 21, 59, "models.rent.estimator.parameters.max_dept", "no parameter `max_dept`", "`max_depth` (default null)"),
    "parameters are a list": (("{C: 0.5}", "[C, 0.5]"), 16, 55, "models.visits.estimator.parameters", "found a list", "{name: value}"),
    "parameter is not finite": (("{C: 0.5}", "{C: .inf}"), 16, 59, "models.visits.estimator.parameters.C", "a finite number", ""),
    "random_state null": (("{C: 0.5}", "{random_state: null}"), 16, 70, "models.visits.estimator.parameters.random_state", "every fit different", "manifest's seed"),
    "early stopping": (("type: RandomForestRegressor, parameters: {max_depth: 3}", "type: XGBRegressor, parameters: {early_stopping_rounds: 3}"), 21, 50, "models.rent.estimator.parameters.early_stopping_rounds", "held out", "n_estimators"),
    # metrics
    "unknown metric": (in_rent("metrics: [mean_squared_eror]"), 21, 15, "models.rent.metrics[0]", "one of mean_squared_error", "`mean_squared_error`"),
    "metric by its nickname": (in_rent("metrics: [rmse]"), 21, 15, "models.rent.metrics[0]", "one of mean_squared_error", "`root_mean_squared_error`"),
    "metric of the other task": (in_rent("metrics: [log_loss]"), 21, 15, "models.rent.metrics[0]", "metric of classification", "mean_squared_error"),
    "default metric needs probabilities": (("type: LogisticRegression", "type: SVM"), 16, 16, "models.visits.estimator", "gives no probabilities", "balanced_accuracy"),
    "limit of the other task": (in_rent("gate: {limits: {accuracy: {min: 0.5}}}"), 21, 21, "models.rent.gate.limits.accuracy", "metric of classification", ""),
    "limit of an unknown metric": (in_rent("gate: {limits: {r3: {min: 0.5}}}"), 21, 21, "models.rent.gate.limits.r3", "one of mean_squared_error", ""),
    "limit without numbers": (in_rent("gate: {limits: {r2: {}}}"), 21, 25, "models.rent.gate.limits.r2", "at least one of max, min", ""),
    "limit the wrong way round": (in_rent("gate: {limits: {r2: {min: 1, max: 0}}}"), 21, 25, "models.rent.gate.limits.r2", "min 1 is above max 0", "swap"),
    # gate
    "margin in percent of no loss": (in_rent("metrics: [r2]\n    gate: {margin: 2%}"), 22, 20, "models.rent.gate.margin", "r2 decides", "absolute"),
    "default margin of no loss": (in_rent("metrics: [r2]"), 21, 15, "models.rent.metrics[0]", "default margin", "absolute"),
    "margin above 100%": (in_rent("gate: {margin: 2}"), 21, 20, "models.rent.gate.margin", "a share", "2%, or {absolute: 0.01}"),
    "approval by nobody": (in_rent("gate: {approve: maybe}"), 21, 21, "models.rent.gate.approve", "one of auto, manual", ""),
    "limits that are none": (in_rent("gate: {on_insufficient: ship_if_limits}"), 21, 29, "models.rent.gate.on_insufficient", "no limits to go by", "limits"),
    # retrain_when
    "unknown condition": (in_rent("retrain_when: {defnition}"), 21, 20, "models.rent.retrain_when.defnition", "unknown field `defnition`", "`definition`"),
    "drift without settings": (in_rent("retrain_when: drift"), 21, 19, "models.rent.retrain_when", "`drift` needs settings", "{column: loss}"),
    "drift of a bare column": (in_rent("retrain_when: {drift: loss}"), 21, 27, "models.rent.retrain_when.drift", "`drift` needs settings", "{column: loss}"),
    "drift without a column": (in_rent("retrain_when: {drift: {psi: 0.2}}"), 21, 20, "models.rent.retrain_when.drift", "column", ""),
    "drift of a feature": (in_rent("retrain_when: {drift: {column: weather}}"), 21, 36, "models.rent.retrain_when.drift.column", "one of loss, prediction, inputs", ""),
    "drift below nothing": (in_rent("retrain_when: {drift: {column: loss, psi: -1}}"), 21, 47, "models.rent.retrain_when.drift.psi", "at least 0", ""),
    "drift by folds": (in_rent("retrain_when: {any: [{drift: {column: loss}}]}"), 21, 27, "models.rent.retrain_when.any[0].drift", "compares days, and the fold scheme has none", "`time`"),
    "schedule without settings": (in_rent("retrain_when: schedule"), 21, 19, "models.rent.retrain_when", "`schedule` needs settings", '"0 3 * * 1"'),
    "an hour that no day has": (in_rent('retrain_when: {schedule: "0 25 * * 1"}'), 21, 30, "models.rent.retrain_when.schedule", "no cron text", "the hour cannot be read"),
    "a day that never comes": (in_rent('retrain_when: {schedule: "0 3 30 2 *"}'), 21, 30, "models.rent.retrain_when.schedule", "no cron text", "the day-of-month"),
    "a cron text of seconds": (in_rent('retrain_when: {schedule: "0 0 3 * * 1"}'), 21, 30, "models.rent.retrain_when.schedule", "no cron text of five fields", "minute, hour"),
    "a word for a cron text": (in_rent('retrain_when: {schedule: {cron: "@daily"}}'), 21, 37, "models.rent.retrain_when.schedule.cron", "no cron text", '"0 0 * * *"'),
    "a number for a cron text": (in_rent("retrain_when: {schedule: 3}"), 21, 30, "models.rent.retrain_when.schedule", "a cron text of five fields", "in quotes"),
    "a zone that no map has": (in_rent('retrain_when: {schedule: {cron: "0 3 * * 1", timezone: Europe/Berlinn}}'), 21, 60, "models.rent.retrain_when.schedule.timezone", "no time zone", "`Europe/Berlin`"),
    "missed by another word": (in_rent('retrain_when: {schedule: {cron: "0 3 * * 1", missed: newest}}'), 21, 58, "models.rent.retrain_when.schedule.missed", "one of latest, all, none", ""),
    "a limit of the latest": (in_rent('retrain_when: {schedule: {cron: "0 3 * * 1", limit: 3}}'), 21, 57, "models.rent.retrain_when.schedule.limit", "`missed: latest` answers the newest alone", "missed: all"),
    "feedback without settings": (in_rent("retrain_when: feedback"), 21, 19, "models.rent.retrain_when", "`feedback` needs settings", "{feedback: {rows: 100}}"),
    "feedback by two counts": (in_rent("retrain_when: {feedback: {rows: 5, corrected: 5%}}"), 21, 30, "models.rent.retrain_when.feedback", "`feedback` takes one of rows and corrected", "keep one"),
    "feedback that is always there": (in_rent("retrain_when: {feedback: {corrected: 0%}}"), 21, 30, "models.rent.retrain_when.feedback", "always reached", "rows: 1"),
    "no row of feedback": (in_rent("retrain_when: {feedback: {rows: 0}}"), 21, 37, "models.rent.retrain_when.feedback.rows", "1", ""),
    "a schedule without a cron text": (in_rent("retrain_when: {schedule: {missed: all}}"), 21, 20, "models.rent.retrain_when.schedule", "cron", ""),
    "performance without settings": (in_rent("retrain_when: performance"), 21, 19, "models.rent.retrain_when", "`performance` needs settings", "worse_than_gate"),
    "performance without a bound": (in_rent("retrain_when: {any: [{performance: {metric: r2}}]}"), 21, 40, "models.rent.retrain_when.any[0].performance", "found none of them", "max: 0.2"),
    "performance with two bounds": (in_sales("retrain_when: {performance: {max: 1, worse_than_gate: true}}"), 12, 33, "models.sales.retrain_when.performance", "found `max` and `worse_than_gate`", "keep one"),
    "performance in an unknown metric": (in_rent("retrain_when: {performance: {metric: rmse, max: 1}}"), 21, 42, "models.rent.retrain_when.performance.metric", "one of mean_squared_error", "`root_mean_squared_error`"),
    "performance in another task's metric": (in_rent("retrain_when: {performance: {metric: log_loss, max: 1}}"), 21, 42, "models.rent.retrain_when.performance.metric", "metric of classification", "mean_squared_error"),
    "performance in an own metric that is not listed": (in_rent("retrain_when: {performance: {metric: 'shop.metrics:cost', max: 1}}"), 21, 42, "models.rent.retrain_when.performance.metric", "not among the metrics of `rent`", "list it"),
    "performance bounded on the good side": (in_rent("retrain_when: {performance: {metric: r2, max: 0.5}}"), 21, 51, "models.rent.retrain_when.performance.max", "r2 is better the higher", "write min"),
    "worse than the gate, or not": (in_sales("retrain_when: {performance: {worse_than_gate: false}}"), 12, 51, "models.sales.retrain_when.performance.worse_than_gate", "expected true", "leave the field out"),
    "worse than a gate of another metric": (in_sales("retrain_when: {any: [{performance: {metric: r2, worse_than_gate: true}}]}"), 12, 70, "models.sales.retrain_when.any[0].performance.worse_than_gate", "margin is of mean_squared_error", "leave `metric` out"),
    "worse than a gate by folds": (in_rent("retrain_when: {performance: {worse_than_gate: true}}"), 21, 51, "models.rent.retrain_when.performance.worse_than_gate", "folds have no order in time", "max: 0.2"),
    "not_within a mapping": (in_rent("retrain_when: {definition, not_within: 3d}"), 21, 32, "models.rent.retrain_when.not_within", "unknown field `not_within`", "{any: [...], not_within: 3d}"),
    "not_within nothing": (in_rent("retrain_when: {all: [definition], not_within: 0d}"), 21, 51, "models.rent.retrain_when.not_within", "a duration of more than nothing", ""),
    "age without settings": (in_rent("retrain_when: age"), 21, 19, "models.rent.retrain_when", "`age` needs settings", "{age: 60d}"),
    "age of nothing": (in_rent("retrain_when: {age: 0d}"), 21, 25, "models.rent.retrain_when.age", "a duration of more than nothing", ""),
    # what is refused by name
    "several labels": (("target: rent", "target: [rent, area]"), 19, 13, "models.rent.target", "several outputs are not possible", "one model for each label"),
    "several labels in a mapping": (("target: {column: sold,", "target: {column: [sold, visited],"), 9, 22, "models.sales.target.column", "several outputs are not possible", "one model for each label"),
    "a quantile": (in_rent("quantile: 0.9"), 21, 5, "models.rent.quantile", "unknown field", "quantiles are not in this version"),
    "a loss of quantiles": (("type: RandomForestRegressor, parameters: {max_depth: 3}", "type: GradientBoostingRegressor, parameters: {loss: quantile}"), 21, 63, "models.rent.estimator.parameters.loss", "quantiles are not in this version", "the median"),
    "query groups": (in_rent("query: search"), 21, 5, "models.rent.query", "unknown field", "ranking within query groups"),
    "a ranker": (("type: RandomForestRegressor, parameters: {max_depth: 3}", "type: XGBRanker"), 21, 23, "models.rent.estimator.type", "ranking within query groups", "relevance of a row"),
    "an objective of ranks": (("type: RandomForestRegressor, parameters: {max_depth: 3}", 'type: XGBRegressor, parameters: {objective: "rank:ndcg"}'), 21, 50, "models.rent.estimator.parameters.objective", "ranking within query groups", "relevance"),
    "no label to learn from": (("type: RandomForestRegressor, parameters: {max_depth: 3}", "type: KMeans"), 21, 23, "models.rent.estimator.type", "learns without a label", "when the table is made"),
    "a label that comes later": (("inputs: {sales: {}}", "features: [sold]"), 15, 16, "models.visits.features[0]", "`sold` is the label of `sales`, known 1d after the decision", "inputs: {sales: {}}"),
    "data without settings": (in_rent("retrain_when: data"), 21, 19, "models.rent.retrain_when", "`data` needs settings", "rows: 1000"),
    "data with two settings": (in_rent("retrain_when: {data: {rows: 1, share: 5%}}"), 21, 26, "models.rent.retrain_when.data", "one of blocks, rows and share", "keep one"),
    "bare list of conditions": (in_rent("retrain_when: [definition]"), 21, 19, "models.rent.retrain_when", "a mapping of conditions", "`any:`"),
    "at_least out of reach": (in_rent("retrain_when: {any: [definition], at_least: 2}"), 21, 49, "models.rent.retrain_when.at_least", "can never hold", "lower"),
    "at_least with all": (in_rent("retrain_when: {all: [definition], at_least: 1}"), 21, 39, "models.rent.retrain_when.at_least", "unknown field", "belongs to `any`"),
    "blocks by folds": (in_rent("retrain_when: {data: {blocks: 2}}"), 21, 35, "models.rent.retrain_when", "`rent` is validated by folds", "share: 10%"),
    "settings of a bare word": (in_rent("retrain_when: {definition: 3}"), 21, 32, "models.rent.retrain_when.definition", "no settings", "bare word"),
    "window by folds": (in_rent("window: 30d"), 21, 13, "models.rent.window", "counts back from a fit's cut", "validate by time"),
    "half life by folds": (in_rent("weight: {column: w, half_life: 30d}"), 21, 36, "models.rent.weight.half_life", "counts back from a fit's cut", "validate by time"),
    "window of nothing": (in_sales("window: 0d"), 12, 13, "models.sales.window", "more than nothing", "2w"),
    "weight without settings": (in_sales("weight: {}"), 12, 13, "models.sales.weight", "at least one of column, half_life", ""),
    "estimator without weights": (("estimator: Ridge", "estimator: KNeighborsRegressor\n    weight: w"), 12, 13, "models.sales.weight", "KNeighborsRegressor takes no weights", "another estimator"),
    "feature that chooses rows": (in_sales("train_where: price"), 10, 16, "models.sales.features[0]", "chooses the rows", "remove it"),
    "classes of a regression": (("{column: sold, known_after: 1d}", "{column: sold, known_after: 1d, classes: [a, b]}"), 9, 54, "models.sales.target.classes", "Ridge predicts numbers", "a classifier"),
    "one class": (("{column: visited, known_after: 0d}", "{column: visited, known_after: 0d, classes: [a]}"), 14, 57, "models.visits.target.classes", "at least 2 classes", ""),
    "positive outside the classes": (("{column: visited, known_after: 0d}", "{column: visited, known_after: 0d, classes: [a, b], positive: c}"), 14, 75, "models.visits.target.positive", "not among", "mend"),
    "positive of three classes": (("{column: visited, known_after: 0d}", "{column: visited, known_after: 0d, classes: [a, b, c], positive: c}"), 14, 78, "models.visits.target.positive", "for two classes; found 3", "remove"),
    "aggregate without match": (("inputs: {sales: {}}", "inputs: {sales: {aggregate: [mean]}}"), 15, 33, "models.visits.inputs.sales.aggregate", "not said which rows", "add match"),
    "aggregate of no function": (("inputs: {sales: {}}", "inputs: {sales: {aggregate: [median], match: [shop]}}"), 15, 34, "models.visits.inputs.sales.aggregate[0]", "one of mean, sum", ""),
    "as_of beside match": (("inputs: {sales: {}}", "inputs: {sales: {as_of: {match: [shop]}, match: [shop]}}"), 15, 53, "models.visits.inputs.sales.match", "has its own `match`", "keep one"),
    "as_of without match": (("inputs: {sales: {}}", "inputs: {sales: {as_of: {tolerance: 7d}}}"), 15, 22, "models.visits.inputs.sales.as_of", "no `match`", "add `match`"),
    "as_of by folds": (("parameters: {max_depth: 3}}\n", "parameters: {max_depth: 3}}\n    inputs: {size: {as_of: {match: [shop]}}}\n  size: {dataset: shops, target: size, features: [rooms], estimator: Ridge}\n"), 22, 28, "models.rent.inputs.size.as_of", "needs moments", "`match`"),
    "union with a stranger": (("inputs: {sales: {}}", "inputs: {both: {from: [sales, sails]}}"), 15, 14, "models.visits.inputs.both", "no model `sails`", "`sales`"),
    "gated by folds": (in_rent("ship: gated"), 21, 11, "models.rent.ship", "needs the time scheme", "refit"),
    # defaults
    "target in defaults": (at_top("defaults: {target: x}"), 3, 12, "defaults.target", "unknown field `target`", "in each model"),
    # the document
    "tag": (("name: shop", "name: !!str shop"), 2, 7, "name", "tags are not allowed", "remove"),
    "merge key": (in_rent("<<: {}"), 21, 5, "models.rent", "merge keys", "`defaults`"),
    "key is a number": (in_rent("1: 2"), 21, 5, "models.rent", "a key is a text; found the number 1", '"1"'),
    "key is null": (in_rent("~: 2"), 21, 5, "models.rent", "a key is a text", '"~"'),
}  # fmt: skip


def replaced(old, new):
    assert BASE.count(old) == 1, f"{old!r} is not once in the base"
    return BASE.replace(old, new)


def one(problems):
    assert len(problems) == 1, "\n".join(map(str, problems))
    return problems[0]


def test_the_base_is_good(problems_of):
    assert problems_of(BASE) == []


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_one_problem_with_place_path_and_next_step(name, problems_of):
    change, line, column, path, message, next_step = CASES[name]
    problem = one(problems_of(replaced(*change)))
    assert (problem.line, problem.column, problem.path) == (line, column, path), str(problem)
    assert message in problem.message
    assert next_step in problem.next_step
    assert str(problem).startswith(f"m.yaml:{line}:{column}")


@pytest.mark.parametrize("models", ["models: []", "models: {}", "models:", "models: x"])
def test_a_manifest_has_models(models, problems_of):
    text = BASE[: BASE.index("models:")] + models
    problem = one(problems_of(text))
    assert (problem.line, problem.path) == (6, "models")
    assert "a mapping from names to models" in problem.message


@pytest.mark.parametrize("text", ["[]", "x", "3", "---"])
def test_a_manifest_is_a_mapping(text, problems_of):
    assert "expected the manifest; found" in one(problems_of(text)).message


def test_a_key_written_twice_names_both_places(problems_of):
    problem = one(
        problems_of(replaced("    features: [area]\n", "    features: [area]\n    dataset: days\n"))
    )
    assert (problem.line, problem.column, problem.path) == (21, 5, "models.rent.dataset")
    assert "already at line 18, column 5" in problem.message


def test_a_same_row_edge_stays_within_a_dataset(problems_of):
    text = replaced("models:\n", "  hours: {path: h.csv, key: [hour], time: hour}\nmodels:\n").replace(
        "dataset: days\n    target: {column: sold", "dataset: hours\n    target: {column: sold"
    )
    problem = one(problems_of(text))
    assert problem.path == "models.visits.inputs.sales"
    assert "on dataset `hours`, not `days`" in problem.message
    assert "match: {column of hours: column of days}" in problem.next_step


def test_a_dataset_without_time_is_not_read_by_one_with_it(problems_of):
    problem = one(problems_of(replaced("{sales: {}}", "{sales: {}, rent: {match: [shop]}}")))
    assert (problem.line, problem.column, problem.path) == (15, 25, "models.visits.inputs.rent")
    assert "dataset `shops` has no `time` and `days` has" in problem.message


def test_a_dataset_with_time_is_not_read_by_one_without_it(problems_of):
    problem = one(problems_of(replaced(RENT, f"{RENT}    inputs: {{sales: {{match: [shop]}}}}\n")))
    assert "dataset `shops` has no `time` and `days` has" in problem.message


def test_when_the_label_is_known_is_no_feature(problems_of):
    text = replaced("known_after: 1d", "known_at: seen").replace("[price, weekday]", "[price, seen]")
    problem = one(problems_of(text))
    assert (problem.line, problem.column, problem.path) == (10, 23, "models.sales.features[1]")


def test_a_metric_of_probabilities_needs_an_estimator_that_gives_them(problems_of):
    text = replaced("{type: LogisticRegression, parameters: {C: 0.5}}", "LinearSVC\n    metrics: [log_loss]")
    problem = one(problems_of(text))
    assert (problem.line, problem.path) == (17, "models.visits.metrics[0]")
    assert "log_loss needs probabilities, which LinearSVC" in problem.message
    assert "balanced_accuracy" in problem.next_step
    assert "roc_auc" not in problem.next_step


def test_a_parameter_can_make_an_estimator_give_probabilities(problems_of):
    text = replaced(
        "type: LogisticRegression, parameters: {C: 0.5}", "type: SGDClassifier, parameters: {loss: log_loss}"
    )
    assert problems_of(text) == []
    one(problems_of(text.replace("loss: log_loss", "loss: hinge")))


@pytest.mark.parametrize(
    ("inputs", "cycle"),
    [
        ("{visits: {}}", "visits -> sales -> visits"),
        ("{stock: {}, visits: {}}", "visits -> sales -> visits"),
    ],
)
def test_a_cycle_is_shown_with_its_path(inputs, cycle, problems_of):
    text = replaced(SALES, f"{SALES}    inputs: {inputs}\n").replace(
        "  rent:\n",
        "  stock: {dataset: days, target: {column: s, known_after: 0d}, features: [a], estimator: Ridge}\n  rent:\n",
    )
    problem = one(problems_of(text))
    names = problem.message.split(": ")[1].split(" -> ")
    assert names[0] == names[-1]
    assert set(names) == set(cycle.split(" -> "))


def test_two_cycles_are_two_problems(problems_of):
    models = "".join(
        f"  {a}: {{dataset: shops, target: t, inputs: {{{b}: {{}}}}, estimator: Ridge}}\n"
        for a, b in ["ab", "ba", "cd", "de", "ec"]
    )
    problems = problems_of(BASE + models)
    assert [len(p.message.split(" -> ")) for p in problems] == [3, 4]


@pytest.mark.slow
def test_a_cycle_of_thousands_is_shown_shortened(problems_of):
    models = "".join(
        f"  m{i}: {{dataset: shops, target: t, inputs: {{m{(i + 1) % 3000}: {{}}}}, estimator: Ridge}}\n"
        for i in range(3000)
    )
    problem = one(problems_of(BASE + models))
    assert len(problem.message) < 300
    assert "(2990 more)" in problem.message


def test_a_chain_by_folds_needs_one_fold_more_than_it_has_levels(problems_of):
    chain = "".join(
        f"  m{i}: {{dataset: shops, target: t, inputs: {{{f'm{i - 1}' if i else 'rent'}: {{}}}}, estimator: Ridge}}\n"
        for i in range(4)
    )
    problem = one(problems_of(BASE + chain))
    assert "5 levels of models need at least 6 folds, not 5: rent -> m0 -> m1 -> m2 -> m3" in problem.message
    assert "folds: 6" in problem.next_step
    assert problems_of(BASE.replace("models:", "validation: {scheme: folds, folds: 5}\nmodels:", 1)) != []
    enough = BASE.replace("key: [shop]}", "key: [shop], validation: {scheme: folds, folds: 6}}") + chain
    assert problems_of(enough) == []


def test_connected_datasets_are_validated_alike(problems_of):
    text = replaced(
        "models:\n",
        "  hours: {path: h.csv, key: [hour], time: hour, validation: {scheme: time, blocks: 1w}}\nmodels:\n",
    ).replace("{sales: {}}", "{sales: {}, traffic: {match: [hour]}}")
    text += (
        "  traffic: {dataset: hours, target: {column: n, known_after: 1h}, features: [a], estimator: Ridge}\n"
    )
    problem = one(problems_of(text))
    assert problem.path == "datasets.hours"
    assert "`days` and `hours` are connected" in problem.message
    assert "blocks of 14d" in problem.message
    assert "blocks of 7d" in problem.message
    assert problems_of(text.replace("blocks: 1w", "blocks: 2w")) == []


def test_connected_datasets_by_folds_share_a_group(problems_of):
    text = replaced("models:\n", "  towns: {path: t.csv, key: [town], group: town}\nmodels:\n")
    text += "  size: {dataset: towns, target: n, features: [a], estimator: Ridge}\n"
    text = text.replace(RENT, f"{RENT}    inputs: {{size: {{match: [town]}}}}\n")
    problem = one(problems_of(text))
    assert problem.path == "datasets.shops"
    assert "has no `group`" in problem.message
    assert "group: town" in problem.next_step
    assert problems_of(text.replace("key: [shop]}", "key: [shop], group: town}")) == []
    other = one(problems_of(text.replace("key: [shop]}", "key: [shop], group: city}")))
    assert "found `town` and `city`" in other.message


def test_every_problem_is_reported_at_once_in_the_order_of_the_file(problems_of):
    text = (
        replaced("name: shop", "nmae: shop")
        .replace("time: day}", "tiem: day}")
        .replace("estimator: Ridge", "estimator: Rigde")
        .replace("{C: 0.5}", "{c: 0.5}")
        .replace("dataset: shops", "dataset: shop")
        .replace("[area]", "[area, area]")
    )
    problems = problems_of(text)
    assert [p.line for p in problems] == sorted(p.line for p in problems)
    assert {"nmae", "datasets.days.tiem", "models.sales.estimator", "models.rent.dataset"} <= {
        p.path for p in problems
    }
    assert {"models.visits.estimator.parameters.c", "models.rent.features[1]"} <= {p.path for p in problems}


def test_a_refused_default_is_one_problem_however_many_models_share_it(problems_of):
    text = replaced("models:\n", "defaults: {metrics: [log_los]}\nmodels:\n")
    assert one(problems_of(text)).path == "defaults.metrics[0]"
    text = replaced("models:\n", "defaults: {metrics: [accuracy]}\nmodels:\n")
    assert [p.path for p in problems_of(text)].count("defaults.metrics[0]") == 2  # task, and margin


def test_a_misspelt_field_is_not_missing_too(problems_of):
    problem = one(problems_of(replaced("    target: rent", "    tarket: rent")))
    assert problem.path == "models.rent.tarket"


@pytest.mark.parametrize("validation", ["", "validation: {scheme: time}\n"])
def test_a_misspelt_time_is_one_problem(validation, problems_of):
    text = replaced("time: day}", "tiem: day}").replace("datasets:\n", f"{validation}datasets:\n")
    assert one(problems_of(text)).path == "datasets.days.tiem"


def test_a_refused_name_is_not_an_unknown_one_too(problems_of):
    text = replaced("  sales:\n", "  sales.eu:\n").replace("{sales: {}}", "{sales.eu: {}}")
    assert {problem.message.split(";")[0] for problem in problems_of(text)} == {
        "expected a name of letters, digits, _ and - (at most 64, the first a letter or _)"
    }


def test_nearest_names_stay_affordable(problems_of):
    models = "".join(
        f"  m{i}: {{dataset: shops, target: t, inputs: {{x{i}: {{}}}}, estimator: Ridge}}\n"
        for i in range(1500)
    )
    assert len(problems_of(BASE + models)) == 1500


def test_a_label_that_is_known_at_once_may_be_a_feature(problems_of):
    assert problems_of(BASE.replace("features: [price, weekday]", "features: [price, visited]")) == []


def test_a_model_with_a_pool_is_united_with_no_other(problems_of):
    text = BASE.replace("inputs: {sales: {}}", "inputs: {both: {from: [sales, cost]}}")
    text += (
        "  cost: {dataset: days, target: {column: c, known_after: 0d}, features: [x], estimator: Ridge,\n"
        "    partition_by: [shop], partitions: {small: pool}}\n"
    )
    problem = one(problems_of(text))
    assert problem.path == "models.visits.inputs.both.from"
    assert "`cost` has a pool" in problem.message


def test_a_union_is_of_one_dataset(problems_of):
    text = BASE.replace(
        "datasets:\n", "datasets:\n  weeks: {path: w.csv, key: [shop, week], time: week}\n"
    ).replace("inputs: {sales: {}}", "inputs: {both: {from: [sales, cost], match: [shop]}}")
    text += (
        "  cost: {dataset: weeks, target: {column: c, known_after: 0d}, features: [x], estimator: Ridge}\n"
    )
    problem = one(problems_of(text))
    assert problem.path == "models.visits.inputs.both.from"
    assert "`sales` is on `days`, `cost` on `weeks`" in problem.message
