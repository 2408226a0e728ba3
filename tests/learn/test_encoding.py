from __future__ import annotations

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from retraining.learn.encoding import learn_encoding
from retraining.learn.estimators import FitError, build_estimator
from retraining.learn.features import Features

from .samples import mixed, numbers, spec

RIDGE = spec("sklearn.linear_model", "Ridge")
FOREST = spec("sklearn.ensemble", "RandomForestRegressor")
BOOSTING = spec("sklearn.ensemble", "GradientBoostingRegressor", accepts_nan=False)


def learned(estimator, features):
    return learn_encoding(estimator, build_estimator(estimator, present=(), seed=0), features)


def texts_of(features, column):
    """The column as texts, None for missing: what scikit-learn's own encoders read."""
    dictionary = features.categories[column]
    codes = features.values[:, column]
    return np.array([None if np.isnan(code) else dictionary[int(code)] for code in codes], dtype=object)


def test_linear_estimators_see_what_scikit_learns_own_column_transformer_gives():
    train, other = mixed(seed=0), mixed(seed=5)
    own = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [0, 1]),
        (OneHotEncoder(categories=[["AA", "B6", "UA"]], handle_unknown="ignore", sparse_output=False), [2]),
        (
            OneHotEncoder(categories=[["fog", "rain", "sun"]], handle_unknown="ignore", sparse_output=False),
            [3],
        ),
    )

    def frame(features):
        columns = [features.values[:, 0], features.values[:, 1], texts_of(features, 2), texts_of(features, 3)]
        return np.column_stack([np.asarray(column, dtype=object) for column in columns])

    own.fit(frame(train))
    encoding = learned(RIDGE, train)
    for table in (train, other):
        expected = np.asarray(own.transform(frame(table)), dtype=np.float64)
        np.testing.assert_array_equal(encoding.transform(table), expected)


def test_trees_see_positions_among_the_sorted_texts_of_the_fit():
    train = mixed()
    seen = learned(FOREST, train).transform(train)
    position = {"AA": 0.0, "B6": 1.0, "UA": 2.0}
    np.testing.assert_array_equal(seen[:, 2], [position[text] for text in texts_of(train, 2)])
    position = {"fog": 0.0, "rain": 1.0, "sun": 2.0, None: np.nan}
    np.testing.assert_array_equal(seen[:, 3], [position[text] for text in texts_of(train, 3)])
    np.testing.assert_array_equal(seen[:, :2], train.values[:, :2])


@pytest.mark.parametrize(("estimator", "expected"), [(FOREST, np.nan), (BOOSTING, -1.0)])
def test_a_text_that_the_fit_never_saw_is_missing_or_minus_one(estimator, expected):
    train = mixed().take(slice(0, 100))
    later = Features(
        names=train.names,
        values=np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, np.nan]]),
        categories={2: ("AA", "new"), 3: ("snow",)},
    )
    seen = learned(estimator, train).transform(later)
    np.testing.assert_array_equal(seen[:, 2:], [[expected, expected], [0.0, expected]])


def test_the_dictionary_a_table_happens_to_use_changes_nothing():
    train = mixed()
    other = Features(
        names=train.names,
        values=np.column_stack([train.values[:, :2], 3 - train.values[:, 2], train.values[:, 3]]),
        categories={2: train.categories[2][::-1], 3: train.categories[3]},
    )
    for estimator in (RIDGE, FOREST):
        encoding = learned(estimator, train)
        np.testing.assert_array_equal(encoding.transform(other), encoding.transform(train))


def test_all_numeric_tables_reach_a_tree_untouched_and_uncopied():
    table = numbers()
    assert learned(FOREST, table).transform(table) is table.values
    assert learned(BOOSTING, table).transform(table) is table.values


@pytest.mark.parametrize("estimator", [RIDGE, FOREST, BOOSTING])
def test_transforming_never_changes_the_table(estimator):
    table = mixed()
    before = table.values.copy()
    learned(estimator, table).transform(table)
    np.testing.assert_array_equal(table.values, before)


@pytest.mark.parametrize("estimator", [RIDGE, BOOSTING])
def test_a_column_that_is_all_missing_in_the_fit_keeps_its_place(estimator):
    train = numbers(20)
    train.values[:, 1] = np.nan
    encoding = learned(estimator, train)
    seen = encoding.transform(numbers(20))
    assert seen.shape == (20, 4)
    assert np.isfinite(encoding.transform(train)).all()


def test_a_category_that_is_all_missing_in_the_fit_does_not_crash():
    table = Features(names=("c",), values=np.full((5, 1), np.nan), categories={0: ("x",)})
    assert learned(RIDGE, table).transform(table).shape == (5, 0)
    assert np.isnan(learned(FOREST, table).transform(table)).all()


def test_other_columns_than_the_fits_are_refused_by_name():
    encoding = learned(RIDGE, mixed())
    with pytest.raises(FitError, match=r"'carrier'.*the rows have"):
        encoding.transform(numbers())
    plain = Features(names=mixed().names, values=mixed().values, categories={2: ("UA", "B6", "", "AA")})
    with pytest.raises(FitError, match="column 'sky' was a category in the fit and is numbers here"):
        encoding.transform(plain)


def test_codes_outside_the_dictionary_are_refused():
    for code in (-1.0, 2.0):
        table = Features(names=("c",), values=np.array([[code]]), categories={0: ("x",)})
        with pytest.raises(ValueError, match="codes outside"):
            learned(FOREST, table)


def test_preprocess_none_passes_numbers_as_they_are_and_refuses_categories():
    plain = spec("sklearn.linear_model", "Ridge", preprocess="none")
    table = numbers()
    assert learned(plain, table).transform(table) is table.values
    with pytest.raises(FitError, match="column 'carrier' is a category"):
        learned(plain, mixed())


def test_too_many_texts_for_one_column_each_is_an_error_and_not_a_full_memory():
    n_rows = 20_000
    table = Features(
        names=("tail",),
        values=np.arange(n_rows, dtype=np.float64)[:, None],
        categories={0: tuple(f"N{row}" for row in range(n_rows))},
    )
    with pytest.raises(FitError, match="20,000 rows x 20,000 columns"):
        learned(RIDGE, table).transform(table)
