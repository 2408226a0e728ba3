"""What is refused by name, with the reason and what to do instead: things that people will try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from retraining.manifest.nodes import Node, SequenceNode
from retraining.manifest.problems import Problems
from retraining.manifest.shapes import Definitions, Schema, Shape
from retraining.manifest.values import Json
from retraining.manifest.words import COLUMN_SHAPE

__all__ = ["MODEL_FIELDS", "LabelColumn", "refused_estimator", "refused_parameters"]

_QUANTILES: Final = (
    "quantiles are not in this version: no metric here judges one, and a model hands down one value"
)
_OUTPUTS: Final = "several outputs are not possible: a model has one label"
_RANKING: Final = (
    "ranking within query groups is not in this version: fits and metrics here are of rows, not of queries"
)
_NO_LABEL: Final = "learns without a label, and a model without a target has no honest column to hand down"
_MEAN: Final = "predict the mean or the median (`metrics: [mean_absolute_error]`)"
_EACH: Final = "write one model for each label; one may read another by `inputs`"
_SCORE: Final = "predict the relevance of a row, by a regressor or a classifier"
_TABLE: Final = "compute what it gives when the table is made, and name it under `features`"

#: Unknown fields of a model, and what to do about what they mean.
MODEL_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "quantile": f"{_QUANTILES}: {_MEAN}",
        "quantiles": f"{_QUANTILES}: {_MEAN}",
        "targets": f"{_OUTPUTS}: {_EACH}",
        "outputs": f"{_OUTPUTS}: {_EACH}",
        "query": f"{_RANKING}: {_SCORE}",
        "query_group": f"{_RANKING}: {_SCORE}",
        "lags": "recursive forecasts are not possible: put the lagged label into the table as a feature",
        "horizon": "put the horizon into the table as a feature, and write the label's moment as `known_at`",
    }
)

_UNSUPERVISED: Final = frozenset(
    {
        "KMeans", "MiniBatchKMeans", "DBSCAN", "HDBSCAN", "OPTICS", "Birch", "AgglomerativeClustering",
        "GaussianMixture", "BayesianGaussianMixture", "PCA", "IncrementalPCA", "KernelPCA", "TruncatedSVD", "NMF",
        "FastICA", "FactorAnalysis", "TSNE", "Isomap", "IsolationForest", "LocalOutlierFactor", "OneClassSVM",
        "EllipticEnvelope", "LatentDirichletAllocation", "SpectralClustering", "MeanShift", "NearestNeighbors",
    }
)  # fmt: skip
_OUTPUT_PREFIXES: Final = ("MultiOutput", "MultiTask")
_CHAINS: Final = frozenset({"RegressorChain", "ClassifierChain"})


@dataclass(frozen=True, slots=True)
class LabelColumn(Shape[str]):
    """The column of a label; a list of them is refused by name."""

    def read(self, node: Node, path: str, problems: Problems) -> str | None:
        """The column."""
        if isinstance(node, SequenceNode) and node.items:
            problems.add(node, path, _OUTPUTS, _EACH)
            return None
        return COLUMN_SHAPE.read(node, path, problems)

    def schema(self, definitions: Definitions) -> Schema:
        """As for any column."""
        return COLUMN_SHAPE.schema(definitions)


def refused_estimator(name: str) -> tuple[str, str] | None:
    """Why a class cannot be a model and what to do instead; None where nothing special is known of it."""
    if name in _UNSUPERVISED:
        return f"{name} {_NO_LABEL}", _TABLE
    if name.startswith(_OUTPUT_PREFIXES) or name in _CHAINS:
        return f"{name}: {_OUTPUTS}", _EACH
    if "Ranker" in name:
        return f"{name}: {_RANKING}", _SCORE
    return None


def refused_parameters(name: str, parameters: Mapping[str, Json]) -> tuple[str, str, str] | None:
    """The parameter that makes another task of an estimator, why it is refused, and what to do; None: none does."""
    objective = str(parameters.get("objective", ""))
    if parameters.get("loss") == "quantile":
        return "loss", _QUANTILES, _MEAN
    if objective.startswith("reg:quantile"):
        return "objective", _QUANTILES, _MEAN
    if objective.startswith("rank:"):
        return "objective", _RANKING, _SCORE
    if name == "QuantileRegressor" and parameters.get("quantile", 0.5) != 0.5:
        return "quantile", _QUANTILES, _MEAN
    return None
