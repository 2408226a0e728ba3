"""A node with its ancestors, or a model with all its nodes, as one estimator that needs nothing of a store.

It predicts as scikit-learn's estimators do: `predict`, `predict_proba`, `classes_`, `feature_names_in_`. It is
fitted for good: `fit` learns nothing, and a clone is the same object. Reading verifies every file's digest before it
is parsed.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retraining.errors import DataError, InputError
from retraining.graph.nodes import is_pool, parse_node_name
from retraining.learn.permitted import permitted
from retraining.manifest.given import given_path
from retraining.manifest.permissions import NOTHING, Permissions
from retraining.prediction.answer import Prediction
from retraining.prediction.contents import Contents, Files, read_files
from retraining.prediction.exporting import write_export
from retraining.prediction.frames import Frame, to_arrow
from retraining.prediction.serving import Served
from retraining.prediction.targets import listed
from retraining.prediction.versions import ServedVersion
from retraining.release.values import NodeState

__all__ = ["Exported", "ExportedClassifier", "ExportedRegressor", "load_exported", "open_export"]

_ROW = "__row__"


def load_exported(
    path: str | os.PathLike[str],
    target: str | None = None,
    *,
    allow: Iterable[str] = (),
    allow_joblib: bool = False,
) -> Exported:
    """The estimator of an export: a folder or a .zip that `retrain export` or `save` wrote.

    `target` names the model or node where the export is of a whole release. `allow` and `allow_joblib` are those of
    `open_store`. Raises InputError for a place that holds no export, IntegrityError for damage.
    """
    return open_export(
        read_files(given_path(path, "the export")), target, permitted(allow, joblib=allow_joblib)
    )


def open_export(files: Files, target: str | None, permissions: Permissions = NOTHING) -> Exported:
    """The estimator of an export's files; errors as `load_exported`."""
    contents = Contents.of(files, permissions)
    states = contents.states()
    chosen = target or contents.target
    if chosen is None:
        raise InputError(
            f"this is an export of a whole release, with {listed(sorted(states))}",
            "say which model or node: load_exported(path, 'NODE')",
        )
    served = Served(
        number=contents.release,
        states=states,
        read_version=contents.version,
        read_model=contents.model,
        past=contents,
    )
    classification = served.asked(chosen)[0].recipe.task == "classification"
    kind = ExportedClassifier if classification else ExportedRegressor
    return kind(files, chosen, permissions, served)


class Exported(ABC):
    """A released model or node and what it reads, fitted for good.

    Rows are a table of the node's dataset, or tables by the names of their datasets where edges cross datasets
    (`needs`): pandas, pyarrow, a path, and for one table an array in the order of `feature_names_in_`. Key columns
    are wanted only where rows read each other; without them a row is what it is by its place. A row that
    lacks an upstream prediction which its model cannot do without has none: NaN, or None for a class.
    """

    def __init__(self, files: Files, target: str, permissions: Permissions, served: Served) -> None:
        self._files = files
        self._permissions = permissions
        self._served = served
        self._asked = served.asked(target)
        self.target = target
        self.release = served.number
        self.nodes = tuple(sorted(served.with_upstreams([one.node for one in self._asked])))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target!r}, release={self.release}, nodes={len(self.nodes)})"

    @property
    def dataset(self) -> str:
        """The dataset whose rows are predicted."""
        return self._asked[0].dataset

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """The columns of each dataset that predicting reads."""
        found = {
            name: columns for name, columns in self._served.needs(self.target).items() if name != self.dataset
        }
        return {self.dataset: tuple(self.feature_names_in_.tolist()), **found}

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """The columns of the rows that are predicted, sorted."""
        needed = {*self._served.needs(self.target)[self.dataset]}
        if not self._reads_itself:
            needed -= {*self._key} - self._used
        if self._single:
            needed -= {name for name, _ in self._asked[0].recipe.partition} - self._used
        return np.array(sorted(needed), dtype=object)

    @property
    def n_features_in_(self) -> int:
        """How many these are."""
        return len(self.feature_names_in_)

    def answer(self, X: Mapping[str, Frame] | Frame) -> Prediction:
        """The predictions with all that `Release.predict` tells of them; DataError for rows that are not its own."""
        frames = dict(X) if isinstance(X, Mapping) else {self.dataset: self._named(X)}
        if self.dataset not in frames:
            raise InputError(
                f"{self.target} predicts rows of {self.dataset}, and was given {listed(sorted(map(str, frames)))}",
                f"pass {{'{self.dataset}': rows, ...}}",
            )
        served, rows = self._served, frames[self.dataset]
        if not isinstance(rows, str | os.PathLike):
            arrow = self._with_partition(to_arrow(self.dataset, rows))
            if not self._keyed(arrow):
                served, arrow = self._by_row(), arrow.append_column(_ROW, pa.array(np.arange(arrow.num_rows)))
            frames[self.dataset] = arrow
        found = served.predict(self.target, frames)
        if found.left_out:
            raise DataError(
                f"{found.left_out:,} rows are of other partitions than {self.target}",
                "leave them out, or export the model, which has all its nodes",
            )
        return found

    @abstractmethod
    def predict(self, X: Mapping[str, Frame] | Frame) -> NDArray[Any]:
        """Predicted values or classes, `(n_rows,)`, in the order of the rows."""

    def fit(self, X: object = None, y: object = None, **_: object) -> Exported:
        """The estimator itself: it was fitted before it was released."""
        return self

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes it to a new folder, or to a new file that ends in .zip, for `load_exported`."""
        place = Path(path)
        write_export(self._files, place)
        return place

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Nothing can be set."""
        del deep
        return {}

    def set_params(self, **parameters: object) -> Exported:
        """The estimator itself; ValueError for any parameter."""
        if parameters:
            raise ValueError(f"{self!r} has no parameters, and was given {listed(sorted(parameters))}")
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> Exported:
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

        classification = isinstance(self, ExportedClassifier)
        return Tags(
            estimator_type="classifier" if classification else "regressor",
            target_tags=TargetTags(required=False),
            transformer_tags=None,
            classifier_tags=ClassifierTags() if classification else None,
            regressor_tags=None if classification else RegressorTags(),
            input_tags=InputTags(allow_nan=True, categorical=True, string=True),
            requires_fit=False,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return open_export, (dict(self._files), self.target, self._permissions)

    @property
    def _key(self) -> tuple[str, ...]:
        return self._asked[0].declaration.dataset.key

    @property
    def _single(self) -> bool:
        """Whether one node of several was asked for, so that all rows are of its partition."""
        return bool(parse_node_name(self.target)[1]) or is_pool(self.target)

    @property
    def _used(self) -> set[str]:
        """The columns of the rows that some model reads or matches on, whatever else they are."""
        used: set[str] = set()
        versions = self._served.with_upstreams([one.node for one in self._asked])
        asked = {one.node for one in self._asked}
        for version in versions.values():
            if version.dataset == self.dataset:
                used |= {*version.recipe.features}
                used |= {name for name, _ in version.recipe.partition if version.node not in asked}
                used |= {mine for item in version.recipe.inputs for _, mine in item.match}
        return used

    @property
    def _reads_itself(self) -> bool:
        """Whether rows read other rows of their own dataset, so that the key orders those of one moment."""
        versions = self._served.with_upstreams([one.node for one in self._asked])
        return any(
            item.match
            and any(versions[name].dataset == self.dataset for name in version.sources[item.column])
            for version in versions.values()
            for item in version.recipe.inputs
            if item.column in version.sources
        )

    def _named(self, X: Frame) -> Frame:
        if not isinstance(X, np.ndarray):
            return X
        names = self.feature_names_in_
        if X.ndim != 2 or X.shape[1] != len(names):
            raise DataError(
                f"an array of shape {X.shape}; expected {len(names)} columns",
                f"give {', '.join(names)} in this order",
            )
        import pandas as pd

        return pd.DataFrame(X, columns=list(names)).infer_objects()

    def _with_partition(self, arrow: pa.Table) -> pa.Table:
        """The rows, with the partition of the one node that was asked for where it was left out."""
        if self._single:
            for name, text in self._asked[0].recipe.partition:
                if name not in arrow.column_names:
                    arrow = arrow.append_column(name, pa.array([text] * arrow.num_rows, pa.string()))
        return arrow

    def _keyed(self, arrow: pa.Table) -> bool:
        """Whether the rows have their key, as a key should be; where they read each other they must."""
        if self._reads_itself:
            return True
        if not {*self._key} <= {*arrow.column_names}:
            return False
        keys = arrow.select(list(dict.fromkeys(self._key)))
        if any(column.null_count for column in keys.columns):
            return False
        try:
            return bool(keys.group_by(keys.column_names).aggregate([]).num_rows == arrow.num_rows)
        except pa.ArrowException:  # types that cannot be grouped cannot be a key
            return False

    def _by_row(self) -> Served:
        """The same predictor for rows whose key is their place."""

        def read(state: NodeState) -> ServedVersion:
            version = self._served.with_upstreams([state.node])[state.node]
            if version.dataset != self.dataset:
                return version
            dataset = replace(version.declaration.dataset, key=(_ROW,))
            return replace(version, declaration=replace(version.declaration, dataset=dataset))

        return replace(
            self._served, read_version=read, read_model=self._served.model, _versions={}, _models={}
        )


class ExportedRegressor(Exported):
    """An exported model of numbers."""

    def predict(self, X: Mapping[str, Frame] | Frame) -> NDArray[Any]:
        """Predicted values, `(n_rows,)`; NaN where a row has none."""
        return self.answer(X).outputs[:, 0].copy()

    def score(self, X: Mapping[str, Frame] | Frame, y: Any, sample_weight: Any = None) -> float:
        """R2."""
        from sklearn.metrics import r2_score

        return float(r2_score(y, self.predict(X), sample_weight=sample_weight))


class ExportedClassifier(Exported):
    """An exported model of classes; `classes_` are in the order of the columns of `predict_proba`."""

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes as the data has them."""
        newest = sorted(self._asked, key=lambda version: version.made, reverse=True)
        return np.array(list(dict.fromkeys(value for version in newest for value in version.classes)))

    def predict_proba(self, X: Mapping[str, Frame] | Frame) -> NDArray[np.float64]:
        """Probabilities of `classes_`, `(n_rows, n_classes)`; NaN where a row has no prediction."""
        return self.answer(X).outputs.copy()

    def predict(self, X: Mapping[str, Frame] | Frame) -> NDArray[Any]:
        """The classes of the highest probability, `(n_rows,)`; None among them where a row has no prediction."""
        probabilities = self.predict_proba(X)
        without = np.isnan(probabilities).any(axis=1)
        found: NDArray[Any] = self.classes_[np.nan_to_num(probabilities, nan=-1.0).argmax(axis=1)]
        if without.any():
            found = found.astype(object)
            found[without] = None
        return found

    def score(self, X: Mapping[str, Frame] | Frame, y: Any, sample_weight: Any = None) -> float:
        """The share of right classes."""
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))
