"""How features become the matrix that an estimator sees, learned from the rows of one fit.

Invariant: an `Encoding` depends on the rows it was learned from and on nothing else, and its matrix has
the same width for any rows. A table that needs no change is passed on as it is, not copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from retraining.learn.estimators import EstimatorSpec, FitError, is_tree, takes_missing
from retraining.learn.features import Features

__all__ = ["Encoding", "learn_encoding"]

# An indicator matrix larger than this (2 GiB of float64) is a mistake in the choice of columns.
_MAX_CELLS = 2**28


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoding:
    """What was learned from the rows of a fit.

    `vocabulary` has the sorted texts of each category column. With `categories` "codes" a category stays
    one column, of positions in its vocabulary and of `unknown` for missing or unseen texts; with "indicators"
    the numbers come first, then a column for each text; with "frame" the rows are a pandas DataFrame. `fill`,
    `centre` and `scale` have shape (n_numbers,).
    """

    names: tuple[str, ...]
    vocabulary: Mapping[int, tuple[str, ...]]
    categories: Literal["codes", "indicators", "frame"] = "codes"
    unknown: float = float("nan")
    fill: NDArray[np.float64] | None = None
    centre: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None

    def transform(self, features: Features) -> Any:
        """The estimator's matrix for these rows: (n_rows, width), C order; FitError for other columns.

        As a frame: numbers as they are, and categories of the fit's texts, where any other is missing.
        """
        self._check(features)
        if self.categories == "frame":
            return self._frame(features)
        if not self.vocabulary:
            return self._prepared(features.values)
        numbers = _number_columns(features)
        if self.categories == "indicators":
            return self._indicators(features, numbers)
        matrix = features.values.copy()
        if self.fill is not None or self.centre is not None:
            matrix[:, numbers] = self._prepared(matrix[:, numbers])
        for column, texts in self.vocabulary.items():
            codes = _codes(features, column, texts)
            matrix[:, column] = np.where(codes < 0, self.unknown, codes)
        return matrix

    def _frame(self, features: Features) -> Any:
        import pandas as pd

        columns: dict[str, Any] = {}
        for position, name in enumerate(self.names):
            texts = self.vocabulary.get(position)
            if texts is None:
                columns[name] = features.values[:, position].copy()
            else:
                codes = _codes(features, position, texts)
                columns[name] = pd.Categorical.from_codes(codes, categories=pd.Index(texts, dtype=object))
        return pd.DataFrame(columns, index=pd.RangeIndex(len(features)))

    def _indicators(self, features: Features, numbers: list[int]) -> NDArray[np.float64]:
        width = len(numbers) + sum(len(texts) for texts in self.vocabulary.values())
        if len(features) * width > _MAX_CELLS:
            message = f"one column for each category text makes {len(features):,} rows x {width:,} columns"
            raise FitError(message, "leave out the column with the most texts, or use a tree estimator")
        matrix = np.zeros((len(features), width))
        matrix[:, : len(numbers)] = self._prepared(features.values[:, numbers])
        offset = len(numbers)
        for column, texts in self.vocabulary.items():
            codes = _codes(features, column, texts)
            rows = np.flatnonzero(codes >= 0)
            matrix[rows, offset + codes[rows]] = 1.0
            offset += len(texts)
        return matrix

    def _prepared(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.fill is not None:
            missing = np.isnan(numbers)
            if missing.any():
                numbers = np.where(missing, self.fill, numbers)
        if self.centre is not None and self.scale is not None:
            numbers = numbers - self.centre
            numbers /= self.scale
        return numbers

    def _check(self, features: Features) -> None:
        if features.names != self.names:
            message = f"the fit knows the columns {list(self.names)}, the rows have {list(features.names)}"
            raise FitError(message, "give the columns of the fit, in its order")
        differing = set(features.categories) ^ set(self.vocabulary)
        if differing:
            column = min(differing)
            kinds = ("numbers", "a category")
            was, now = kinds[column in self.vocabulary], kinds[column in features.categories]
            message = f"column {self.names[column]!r} was {was} in the fit and is {now} here"
            raise FitError(message, "declare its type under `datasets.<name>.types`")


def learn_encoding(spec: EstimatorSpec, estimator: Any, features: Features) -> Encoding:
    """The encoding that `spec.preprocess` asks for, learned from these rows.

    FitError where `preprocess: none` of a class of the catalogue meets a category column. Raises ValueError
    for infinite numbers where the estimator needs scaling.
    """
    if spec.preprocess == "none" and spec.own:
        vocabulary = {column: _texts(features, column) for column in sorted(features.categories)}
        return Encoding(names=features.names, vocabulary=vocabulary, categories="frame")
    if spec.preprocess == "none":
        if features.categories:
            name = features.names[min(features.categories)]
            message = f"column {name!r} is a category, and `preprocess: none` passes numbers only"
            raise FitError(message, "use `preprocess: auto`, or leave the column out")
        return Encoding(names=features.names, vocabulary={})
    missing_allowed = takes_missing(spec, estimator)
    fill, centre, scale = _learn_numbers(spec, features, missing_allowed)
    return Encoding(
        names=features.names,
        vocabulary={column: _texts(features, column) for column in sorted(features.categories)},
        categories="codes" if spec.accepts_nan or is_tree(spec) else "indicators",
        unknown=float("nan") if missing_allowed else -1.0,
        fill=fill,
        centre=centre,
        scale=scale,
    )


_Learned = tuple[NDArray[np.float64] | None, NDArray[np.float64] | None, NDArray[np.float64] | None]


def _learn_numbers(spec: EstimatorSpec, features: Features, missing_allowed: bool) -> _Learned:
    columns = _number_columns(features)
    if not columns:
        return None, None, None
    if missing_allowed and not spec.needs_scaling:
        return _fill_of_empty_columns(spec, features, columns), None, None
    numbers = features.values[:, columns] if features.categories else features.values
    fill = None
    if not missing_allowed:
        fill = np.array([_median(numbers[:, position]) for position in range(len(columns))])
        missing = np.isnan(numbers)
        numbers = np.where(missing, fill, numbers) if missing.any() else numbers
    if not spec.needs_scaling:
        return fill, None, None
    # scikit-learn's own, because its treatment of nearly constant columns is part of "equal to a pipeline".
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(numbers)
    return fill, scaler.mean_, scaler.scale_


def _fill_of_empty_columns(
    spec: EstimatorSpec, features: Features, columns: list[int]
) -> NDArray[np.float64] | None:
    """Zero for columns without a single value, which histogram boosting of scikit-learn 1.9 cannot bin."""
    numbers = features.values[:, columns]
    empty = np.isnan(numbers).all(axis=0) if spec.type.startswith("Hist") else np.zeros(len(columns), bool)
    return np.where(empty, 0.0, np.nan) if empty.any() else None


def _median(column: NDArray[np.float64]) -> float:
    present = column[~np.isnan(column)]
    return float(np.median(present)) if present.size else 0.0


def _number_columns(features: Features) -> list[int]:
    return [column for column in range(len(features.names)) if column not in features.categories]


def _texts(features: Features, column: int) -> tuple[str, ...]:
    dictionary = features.categories[column]
    used = np.unique(_positions(features, column))
    return tuple(sorted({dictionary[position] for position in used if position < len(dictionary)}))


def _codes(features: Features, column: int, texts: tuple[str, ...]) -> NDArray[np.int64]:
    """Each row's position in `texts`, -1 where its text is missing or not among them."""
    position = {text: index for index, text in enumerate(texts)}
    dictionary = features.categories[column]
    table = np.array([position.get(text, -1) for text in dictionary] + [-1], dtype=np.int64)
    return table[_positions(features, column)]


def _positions(features: Features, column: int) -> NDArray[np.int64]:
    """Each row's position in the column's dictionary; missing is one past its end."""
    size = len(features.categories[column])
    codes = features.values[:, column]
    positions = np.where(np.isnan(codes), float(size), codes).astype(np.int64)
    if positions.size and (positions.min() < 0 or positions.max() > size):
        raise ValueError(f"column {features.names[column]!r} has codes outside its {size} texts")
    return positions
