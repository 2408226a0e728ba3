"""Callables of the user's own: imported where they were allowed, and held to what an estimator must do.

Invariant: what is returned was defined in an allowed module. A name that an allowed module only imported, such
as `os.system`, is not a way out.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable
from typing import Any, Literal

from retraining.learn.failures import FitError
from retraining.manifest.own import module_of
from retraining.manifest.permissions import ALLOW, Permissions

__all__ = ["check_protocol", "extend_path", "own_callable"]


def own_callable(name: str, permissions: Permissions) -> Callable[..., Any]:
    """The callable that `package.module:callable` names.

    Raises FitError where it is not allowed, cannot be imported, or is none.
    """
    module = module_of(name)
    _require(name, module, permissions)
    extend_path(permissions)
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        message = f"{name} cannot be imported: {type(error).__name__}: {text}"
        raise FitError(message, "install what it needs, or set PYTHONPATH to its folder") from error
    for part in name.partition(":")[2].split("."):
        if isinstance(found, types.ModuleType) and found.__name__ != module:
            break  # a module that the module imported: another way to it would not have been allowed
        found = getattr(found, part, None)
    if found is None or isinstance(found, types.ModuleType) or not callable(found):
        what = "there is no such name" if found is None else f"it is a {type(found).__name__}"
        raise FitError(f"{name} is no callable: {what}", "name a function or class of that module")
    _require(name, _home(found), permissions)
    return found  # type: ignore[no-any-return]


def extend_path(permissions: Permissions) -> None:
    """Lets Python look for modules where the caller's process would, after its own path."""
    sys.path.extend(folder for folder in permissions.search if folder not in sys.path)


def check_protocol(
    name: str, estimator: object, task: Literal["regression", "classification"], *, graded: bool
) -> None:
    """Raises FitError where what a callable returned cannot be fitted and asked as the task needs."""
    lacking = [method for method in ("fit", "predict") if not callable(getattr(estimator, method, None))]
    if isinstance(estimator, type) or lacking:
        what = f"the class {estimator.__name__}" if isinstance(estimator, type) else type(estimator).__name__
        missing = "" if isinstance(estimator, type) else f", which has no {' and no '.join(lacking)}"
        raise FitError(f"{name} returned {what}{missing}", "return an estimator as scikit-learn knows it")
    if task == "classification" and graded and not hasattr(estimator, "predict_proba"):
        message = f"{name} returned {type(estimator).__name__}, which has no predict_proba"
        raise FitError(
            message, "wrap it in CalibratedClassifierCV, or write metrics of predicted classes alone"
        )
    kind = _kind_of(estimator)
    if kind not in (None, task):
        message = (
            f"{name} returned {type(estimator).__name__}, which does {kind}, and the manifest says {task}"
        )
        raise FitError(message, f"write `task: {kind}` in `estimator`, with metrics of it")


def _kind_of(estimator: object) -> str | None:
    """What scikit-learn says that an estimator does; None where it says nothing."""
    from sklearn.base import is_classifier, is_regressor

    try:
        if is_classifier(estimator):
            return "classification"
        return "regression" if is_regressor(estimator) else None
    except (AttributeError, TypeError):  # no estimator of scikit-learn's
        return None


def _home(found: object) -> str:
    """The module that defines a callable, or the class of one."""
    while isinstance(found, functools.partial):
        found = found.func
    home = getattr(found, "__module__", None)
    return home if isinstance(home, str) else type(found).__module__


def _require(name: str, module: str, permissions: Permissions) -> None:
    if permissions.allows(module):
        return
    top = module.partition(".")[0]
    where = "" if module == module_of(name) else f" (it is defined in {module})"
    raise FitError(
        f"{name} is not allowed{where}: a manifest imports only what was allowed outside it",
        f"if you trust it, pass --allow {top} or set {ALLOW}={top}",
    )
