"""What the manifest says of its data is held against the columns that there are."""

# A case stands on one line, so that its columns can be read.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from retraining.manifest import TableSchema, check_data, parse_manifest

TEXT = """\
manifest: 1
name: shop
datasets:
  days: {path: days.csv, key: [shop, day], time: day, ingested: seen}
  stock: {path: stock.csv, key: [shop], time: at}
defaults:
  partition_by: [shop]
models:
  level:
    dataset: stock
    target: {column: level, known_after: 0d}
    features: [size]
    estimator: Ridge
  sales:
    dataset: days
    target: {column: sold, known_at: counted}
    features: [price, weekday, open]
    inputs: {level: {match: {shop: shop}}}
    estimator: Ridge
  busy:
    dataset: days
    target: {column: busy, known_after: 1d}
    features: [price, sales.2]
    inputs: {sales: {}}
    estimator: LogisticRegression
    weight: {column: amount, half_life: 30d}
    train_where: seen_by_all
"""
TABLES = {
    "days": {
        "shop": "category", "day": "date", "seen": "timestamp", "sold": "number", "counted": "timestamp",
        "price": "number", "weekday": "category", "open": "bool", "busy": "category", "sales.2": "number",
        "amount": "number", "seen_by_all": "bool",
    },
    "stock": {"shop": "category", "at": "timestamp", "level": "number", "size": "number"},
}  # fmt: skip

CASES = {
    # (column of a table, its kind or None), line, column, path, words of the message, words of the next step
    "key": ("stock.shop", None, 5, 34, "datasets.stock.key[0]", "`stock` has no column `shop`", ""),
    "time": ("stock.at", None, 5, 47, "datasets.stock.time", "no column `at`", "columns:"),
    "time is no moment": ("days.day", "category", 4, 50, "datasets.days.time", "is of kind category", "types: {day: timestamp}"),
    "ingested is no moment": ("days.seen", "number", 4, 65, "datasets.days.ingested", "is of kind number", "timestamp"),
    "known_at is no moment": ("days.counted", "number", 16, 38, "models.sales.target.known_at", "is of kind number", ""),
    "target": ("days.sold", None, 16, 22, "models.sales.target.column", "no column `sold`", ""),
    "target of a regression": ("days.sold", "category", 16, 22, "models.sales.target.column", "Ridge predicts numbers", "a classifier"),
    "target of moments": ("days.busy", "timestamp", 22, 22, "models.busy.target.column", "of kind timestamp", "a number or a category"),
    "weight": ("days.amount", None, 26, 22, "models.busy.weight.column", "no column `amount`", ""),
    "weight of categories": ("days.amount", "category", 26, 22, "models.busy.weight.column", "a weight is a number", "types: {amount: float}"),
    "train_where": ("days.seen_by_all", None, 27, 18, "models.busy.train_where", "no column `seen_by_all`", ""),
    "train_where of numbers": ("days.seen_by_all", "number", 27, 18, "models.busy.train_where", "a truth value", "types: {seen_by_all: bool}"),
    "feature": ("stock.size", None, 12, 16, "models.level.features[0]", "no column `size`", ""),
    "feature of moments": ("days.open", "timestamp", 17, 32, "models.sales.features[2]", "of kind timestamp", "hour, weekday"),
    "feature of dates": ("days.open", "date", 17, 32, "models.sales.features[2]", "of kind date", "weekday, month"),
    "nested feature": ("days.open", "other", 17, 32, "models.sales.features[2]", "neither number", "columns"),
}  # fmt: skip


def problems(text, tables, catalog):
    manifest = parse_manifest(text.encode(), Path("m.yaml"), catalog)
    return check_data(manifest, {name: TableSchema(columns=columns) for name, columns in tables.items()})


def changed(column, kind):
    table, name = column.split(".", 1)
    columns = {**TABLES[table], name: kind}
    return {**TABLES, table: {column: kind for column, kind in columns.items() if kind is not None}}


def test_fitting_data_has_no_problems(catalog):
    assert problems(TEXT, TABLES, catalog) == []


def test_a_table_that_is_not_given_is_not_checked(catalog):
    assert problems(TEXT, {}, catalog) == []


@pytest.mark.parametrize("name", CASES)
def test_a_column_that_cannot_be_is_reported_where_it_is_named(name, catalog):
    column, kind, line, character, path, message, next_step = CASES[name]
    found = {problem.path: problem for problem in problems(TEXT, changed(column, kind), catalog)}
    assert path in found
    assert (found[path].line, found[path].column) == (line, character)
    assert message in found[path].message
    assert next_step in found[path].next_step
    assert found[path].next_step


def test_the_nearest_column_is_named(catalog):
    found = problems(TEXT.replace("[size]", "[siez]"), TABLES, catalog)
    assert [problem.next_step for problem in found] == ["did you mean `size`?"]


def test_both_sides_of_a_match_are_of_one_kind(catalog):
    (problem,) = problems(TEXT, changed("stock.shop", "number"), catalog)
    assert (problem.line, problem.path) == (18, "models.sales.inputs.level.match.shop")
    assert "`shop` of `stock` is a number, and `shop` of `days` a category" in problem.message


def test_a_shared_partition_column_is_found_in_the_defaults(catalog):
    text = TEXT.replace("partition_by: [shop]", "partition_by: [shop, town]")
    found = problems(text, TABLES, catalog)
    assert {(problem.line, problem.path) for problem in found} == {(7, "defaults.partition_by[1]")}
    assert len(found) == 2  # one for each dataset


def test_moments_are_no_partitions(catalog):
    found = problems(
        TEXT.replace("partition_by: [shop]", "partition_by: [day]"), {"days": TABLES["days"]}, catalog
    )
    assert [problem.path for problem in found] == ["defaults.partition_by[0]"]


def test_categories_need_preprocessing(catalog):
    text = TEXT.replace("    inputs: {level:", "    preprocess: none\n    inputs: {level:")
    (problem,) = problems(text, TABLES, catalog)
    assert problem.path == "models.sales.features[1]"
    assert "preprocess: auto" in problem.next_step


def test_a_feature_may_not_be_named_like_a_class_column(catalog):
    text = TEXT.replace("sold, known_at: counted", "weekday, known_at: counted")
    text = text.replace("[price, weekday, open]", "[price, open]")
    text = text.replace(
        "match: {shop: shop}}}\n    estimator: Ridge", "match: {shop: shop}}}\n    estimator: XGBoost"
    )
    (problem,) = problems(text, TABLES, catalog)
    assert problem.path == "models.busy.inputs.sales"
    assert "`sales.2`" in problem.message


def test_groups_of_connected_datasets_are_of_one_kind(catalog):
    text = """\
manifest: 1
name: g
datasets: {a: {path: a, key: [id], group: g}, b: {path: b, key: [id], group: g}}
models:
  x: {dataset: a, target: y, features: [f], estimator: Ridge}
  z: {dataset: b, target: y, inputs: {x: {match: [id]}}, estimator: Ridge}
"""
    table = {"id": "number", "g": "category", "y": "number", "f": "number"}
    assert problems(text, {"a": table, "b": table}, catalog) == []
    (problem,) = problems(text, {"a": table, "b": {**table, "g": "number"}}, catalog)
    assert "different folds" in problem.message
    assert problem.line == 3


def test_problems_come_in_the_order_of_the_file(catalog):
    tables = changed("stock.at", None)
    tables["days"] = dict.fromkeys(TABLES["days"], "number")
    lines = [problem.line for problem in problems(TEXT, tables, catalog)]
    assert lines == sorted(lines)
    assert len(lines) >= 4
