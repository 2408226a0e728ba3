"""Estimators and metrics of a user's own, as a text that tests write where Python finds it."""

from __future__ import annotations

from pathlib import Path

SOURCE = '''
import os
from os import system

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC


def pipeline(alpha=1.0):
    """A pipeline of scikit-learn's parts, which encodes and imputes by itself."""
    texts = OneHotEncoder(handle_unknown="ignore")
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("texts", texts, make_column_selector(dtype_include="category"))], remainder=numbers
    )
    return Pipeline([("columns", columns), ("model", Ridge(alpha=alpha))])


def classes(C=1.0):
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=C))


class Clip(TransformerMixin, BaseEstimator):
    """A transformer of one's own."""

    def __init__(self, limit=3.0):
        self.limit = limit

    def fit(self, X, y=None):
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def transform(self, X):
        return np.clip(np.nan_to_num(np.asarray(X, dtype=float)), -self.limit, self.limit)


def clipped():
    return make_pipeline(Clip(), Ridge())


class Mean(RegressorMixin, BaseEstimator):
    """A model of one's own."""

    def fit(self, X, y, sample_weight=None):
        self.mean_ = float(np.average(y, weights=sample_weight))
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


class Slotted:
    """What skops cannot hold: an object without a plain state."""

    def __init__(self):
        self.make = np.random.default_rng(3).bit_generator.__class__
        self.steps_of_mine = {1: "one"}.items


class Stubborn(Mean):
    def fit(self, X, y, sample_weight=None):
        self.told_ = memoryview(b"x") if False else iter([1, 2])
        return super().fit(X, y, sample_weight)


class Moody(Mean):
    """Another model at each fit."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.mean_ += float(np.random.default_rng().random())
        return self


def judge():
    return LinearSVC()


def nothing():
    return 3


def cost(y_true, y_pred, sample_weight=None):
    """Too low costs three times as much as too high."""
    error = np.asarray(y_true) - np.asarray(y_pred)
    return float(np.average(np.where(error > 0, 3 * error, -error), weights=sample_weight))


def share_right(y_true, y_pred):
    return float(np.mean(y_true == y_pred))


number = 7
'''


def write(folder: Path, name: str = "shopcode", text: str = SOURCE) -> Path:
    path = folder / f"{name}.py"
    path.write_text(text)
    return path
