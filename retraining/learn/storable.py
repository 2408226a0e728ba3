"""How a fitted estimator is stored: safely where that is possible, by joblib where only that is and was allowed.

Invariant: nothing is unpickled without permission; what was stored by joblib says so where it is pointed to.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from retraining.errors import InputError
from retraining.learn.archive import UntrustedError, write_estimator
from retraining.learn.failures import FitError
from retraining.manifest.own import is_own
from retraining.manifest.permissions import ALLOW, ALLOW_JOBLIB, Permissions

__all__ = ["Payload", "check_storable", "joblib_refused", "read_joblib", "untrusted_refused", "write_payload"]

Payload: TypeAlias = Literal["skops", "xgboost", "joblib"]


def check_storable(name: str, estimator: Any, permissions: Permissions) -> None:
    """Raises FitError where an estimator that is not yet fitted could not be stored once it is."""
    if not permissions.joblib:
        write_payload(name, estimator, permissions)


def write_payload(name: str, estimator: Any, permissions: Permissions) -> tuple[Payload, bytes]:
    """The estimator in the safest format that holds it; FitError where none does that was allowed."""
    try:
        return "skops", write_estimator(estimator, permissions)
    except Exception as error:
        if not (permissions.joblib and is_own(name)):
            raise _not_storable(name, error, permissions) from error
    import joblib

    buffer = io.BytesIO()
    try:
        joblib.dump(estimator, buffer)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        message = f"{name} cannot be stored, by joblib neither: {type(error).__name__}: {text}"
        raise FitError(
            message, "use functions and classes of a module, not those made inside a function"
        ) from error
    return "joblib", buffer.getvalue()


def read_joblib(payload: bytes) -> Any:
    """The estimator that joblib wrote; the caller has asked for permission."""
    import joblib

    return joblib.load(io.BytesIO(payload))


def joblib_refused(what: str) -> InputError:
    """The error of a joblib artifact that was not allowed to be read."""
    return InputError(
        f"{what} is stored by joblib, which runs code when it is loaded, and that was not allowed",
        f"if you trust who wrote the store, pass --allow-joblib or set {ALLOW_JOBLIB}=1",
    )


def untrusted_refused(what: str, names: Iterable[str]) -> InputError:
    """The error of an artifact of the user's own estimator with types that were not allowed."""
    listed = sorted(names)
    return InputError(
        f"{what} holds {', '.join(listed)}, which is not on the list of safe types", _advice(listed)
    )


def _not_storable(name: str, error: Exception, permissions: Permissions) -> FitError:
    message = f"{name} cannot be stored safely: {error}"
    if not is_own(name):
        return FitError(message, "use another estimator or other parameters")
    tops = _packages(error.names) if isinstance(error, UntrustedError) else ""
    step = f"if you trust it, pass --allow {tops} or set {ALLOW}={tops}; or " if tops else ""
    joblib = f"let joblib store it, which runs code when it is loaded: --allow-joblib or {ALLOW_JOBLIB}=1"
    return FitError(message, step + joblib)


def _advice(names: Iterable[str]) -> str:
    tops = _packages(names)
    if not tops:
        return "a model needs none of that: do not load it"
    return f"if you trust it, pass --allow {tops} or set {ALLOW}={tops}"


def _packages(names: Iterable[str]) -> str:
    """The packages whose permission would let types pass; '' where none should: nothing of Python itself."""
    tops = sorted({name.partition(".")[0] for name in names if "." in name})
    whole = all("." in name for name in names)
    return ",".join(tops) if whole and not set(tops) & sys.stdlib_module_names else ""
