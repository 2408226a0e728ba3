"""What the installed scikit-learn and XGBoost offer, remembered in the user's cache folder.

The only place in this room that imports a learning library, and only when no cache file for the
installed versions can be read. A cache that is missing, damaged or cannot be written costs time
and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from retraining.manifest.allowed import Allowed, Range

if TYPE_CHECKING:
    from retraining.manifest.values import Json

__all__ = ["EstimatorFacts", "cache_file", "estimator_facts", "generate_facts"]

# Raise it whenever the meaning of a cached field changes.
_FORMAT = 5

# Each would be usable by its tags, and is not by what it does.
_LEFT_OUT = frozenset(
    {
        "CCA",  # needs several targets
        "IsotonicRegression",  # takes one feature only
        "LabelPropagation",  # reads the label -1 as "unlabelled"
        "LabelSpreading",
        "PLSCanonical",  # needs several targets
        "SelfTrainingClassifier",  # wraps an estimator, and reads -1 as "unlabelled"
        "TransformedTargetRegressor",  # wraps an estimator
    }
)
_SCALED_FAMILIES = frozenset(
    {
        "calibration",  # of a LinearSVC, unless told otherwise
        "cross_decomposition",
        "discriminant_analysis",
        "gaussian_process",
        "kernel_ridge",
        "linear_model",
        "neighbors",
        "neural_network",
        "svm",
    }
)
# Walking through scikit-learn's modules while another thread imports them fails in the standard library.
_GENERATING = threading.Lock()
_XGBOOST_CLASSES = ("XGBClassifier", "XGBRFClassifier", "XGBRFRegressor", "XGBRegressor")


class EstimatorFacts(TypedDict):
    """One estimator in the cache file; the fields are those of `catalog.EstimatorInfo`."""

    name: str
    module: str
    task: Literal["regression", "classification"]
    parameters: list[str]
    accepts_nan: bool
    needs_scaling: bool
    probabilities: bool
    takes_weights: bool
    defaults: dict[str, Json]
    allowed: dict[str, Allowed]


def estimator_facts() -> list[EstimatorFacts]:
    """The facts of every usable estimator, sorted by name, from the cache or freshly asked for."""
    file = cache_file()
    cached = _read_cache(file) if file else None
    if cached is not None:
        return cached
    with _GENERATING:
        # another thread may have done it meanwhile
        cached = _read_cache(file) if file else None
        facts = generate_facts() if cached is None else cached
        if file and cached is None:
            _write_cache(file, facts)
    return facts


def cache_file() -> Path | None:
    """Where the facts of the installed versions are remembered; None where there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the XDG rule: a relative path is ignored
        folder = Path(base)
    else:
        try:
            folder = Path.home() / ".cache"
        except RuntimeError:
            return None
    versions = f"{_version('scikit-learn')}-{_version('xgboost', 'xgboost-cpu')}"
    return folder / "retraining" / f"estimators-{_FORMAT}-{versions}.json"


def _version(*distributions: str) -> str:
    for distribution in distributions:
        with contextlib.suppress(PackageNotFoundError):
            return version(distribution)
    return "none"


def _read_cache(file: Path) -> list[EstimatorFacts] | None:
    try:
        document = json.loads(file.read_bytes())
        estimators = document["estimators"]
        if document["digest"] == _digest(estimators):
            return cast("list[EstimatorFacts]", estimators)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def _digest(estimators: list[EstimatorFacts]) -> str:
    return hashlib.sha256(json.dumps(estimators, sort_keys=True).encode()).hexdigest()


def _write_cache(file: Path, facts: list[EstimatorFacts]) -> None:
    """Write the file as a whole or not at all; a folder that cannot be written is no error."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".estimators-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump({"digest": _digest(facts), "estimators": facts}, stream)
            os.replace(name, file)
        except OSError:
            os.unlink(name)
            raise


def generate_facts() -> list[EstimatorFacts]:
    """The facts of every usable estimator, asked from the libraries themselves (about 3 s)."""
    with warnings.catch_warnings():
        # Importing every module of scikit-learn may warn; a user's manifest has no part in it.
        warnings.simplefilter("ignore")
        found = [*_scikit_learn(), *_xgboost()]
    return sorted(found, key=lambda facts: facts["name"])


def _scikit_learn() -> Iterator[EstimatorFacts]:
    from sklearn.utils import all_estimators

    for task, kind in (("regression", "regressor"), ("classification", "classifier")):
        for name, estimator_class in all_estimators(type_filter=kind):
            if name not in _LEFT_OUT:
                yield from _usable(estimator_class, cast("Literal['regression']", task))


def _usable(estimator_class: type, task: Literal["regression", "classification"]) -> Iterator[EstimatorFacts]:
    """The facts of a class that can be built by default and fits one target; else nothing."""
    from sklearn.utils import get_tags

    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)  # how scikit-learn says "deprecated"
        try:
            estimator = estimator_class()
        except (TypeError, FutureWarning):
            return
    tags = get_tags(estimator)
    if tags.target_tags.single_output:
        family = estimator_class.__module__.split(".")[1]
        yield _facts(
            estimator, task, accepts_nan=tags.input_tags.allow_nan, scaled=family in _SCALED_FAMILIES
        )


def _xgboost() -> Iterator[EstimatorFacts]:
    try:
        import xgboost
    except ImportError:
        return
    for name in _XGBOOST_CLASSES:
        task: Literal["regression", "classification"] = (
            "classification" if name.endswith("Classifier") else "regression"
        )
        yield _facts(getattr(xgboost, name)(), task, accepts_nan=True, scaled=False)


def _facts(
    estimator: object,
    task: Literal["regression", "classification"],
    *,
    accepts_nan: bool,
    scaled: bool,
) -> EstimatorFacts:
    from sklearn.utils.validation import has_fit_parameter

    written: dict[str, object] = estimator.get_params(deep=False)  # type: ignore[attr-defined]
    return EstimatorFacts(
        name=type(estimator).__name__,
        module=_public_module(type(estimator).__module__),
        task=task,
        parameters=sorted(written),
        accepts_nan=accepts_nan,
        needs_scaling=scaled,
        probabilities=hasattr(estimator, "predict_proba"),
        takes_weights=has_fit_parameter(estimator, "sample_weight"),
        defaults={name: cast("Json", value) for name, value in sorted(written.items()) if _is_json(value)},
        allowed=_allowed(getattr(type(estimator), "_parameter_constraints", {})),
    )


def _allowed(constraints: dict[str, Any]) -> dict[str, Allowed]:
    """What scikit-learn declares of each parameter, but for those of which only it can tell."""
    found = {}
    for name, declared in sorted(constraints.items()):
        allowed = _allowed_of(declared) if isinstance(declared, list) else None
        if allowed is not None:
            found[name] = allowed
    return found


#: What a constraint takes of JSON's types; those that are not here and no range take objects.
_TYPES_OF = {
    "_NoneConstraint": ["null"],
    "_Booleans": ["bool"],
    "_ArrayLikes": ["list"],
    "_RandomStates": ["null"],
    "_VerboseHelper": ["bool"],
    "_Callables": [],
    "HasMethods": [],
}

_NUMBERS_OF = {
    "_RandomStates": [Range(kind="int", left=0, right=2**32 - 1, with_left=True, with_right=True)],
    "_VerboseHelper": [Range(kind="int", left=0, right=None, with_left=True, with_right=False)],
}


def _allowed_of(declared: list[Any]) -> Allowed | None:
    from sklearn.utils._param_validation import make_constraint

    allowed = Allowed(types=[], texts=[], ranges=[])
    for constraint in map(make_constraint, declared):
        kind = type(constraint).__name__
        if kind == "Interval":
            allowed["ranges"].append(_range(constraint))
        elif kind == "StrOptions":
            allowed["texts"] += sorted(constraint.options)
        elif kind == "_InstancesOf":
            asked = constraint.type
            allowed["types"] += [
                one.__name__ for one in (str, int, float, list, dict) if issubclass(one, asked)
            ]
        elif kind in _TYPES_OF:
            allowed["types"] += _TYPES_OF[kind]
            allowed["ranges"] += _NUMBERS_OF.get(kind, [])
        else:
            return None
    return allowed


_KINDS: dict[str, Literal["int", "float"]] = {"Integral": "int", "RealNotInt": "float"}


def _range(interval: Any) -> Range:
    def end(value: float | None) -> float | None:
        return None if value is None or math.isinf(value) else float(value)

    return Range(
        kind=_KINDS.get(interval.type.__name__, "number"),
        left=end(interval.left),
        right=end(interval.right),
        with_left=interval.closed in ("left", "both"),
        with_right=interval.closed in ("right", "both"),
    )


def _public_module(module: str) -> str:
    """`sklearn.linear_model` from `sklearn.linear_model._ridge`."""
    parts = module.split(".")
    if parts[0] == "xgboost":
        return "xgboost"
    public = [part for part in parts[:2] if not part.startswith("_")]
    return ".".join(public)


def _is_json(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)
