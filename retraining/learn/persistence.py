"""A fitted model as bytes: one frame around a header in JSON and the estimator's own format.

::

    magic (8) | sha256 of all that follows (32) | header length (8, big endian) | header | payload

The header (UTF-8 JSON, sorted keys, `format: 1`) has the spec, the seed, the encoding, the classes of the
fit and the payload's kind and size; the payload is deflated: `skops` (retraining.learn.archive), XGBoost's
`ubj`, or for an estimator of the user's own that nothing safer can hold, and where that was allowed, joblib.
Invariants: equal models give equal bytes, in any process (but for joblib's); `load` runs no code of the
artifact's choosing unless joblib was allowed, and what is wrong with it is an IntegrityError. The digest finds
damage, not forgery: bytes made to crash XGBoost's parser can, so compare a record's digest before `load`.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.errors import InputError, IntegrityError, StoreError
from retraining.learn.archive import UntrustedError, read_estimator
from retraining.learn.encoding import Encoding
from retraining.learn.estimators import EstimatorSpec, FitError, build_estimator, estimator_class
from retraining.learn.fitting import FittedModel
from retraining.learn.own import extend_path
from retraining.learn.storable import Payload, joblib_refused, read_joblib, untrusted_refused, write_payload
from retraining.manifest.permissions import NOTHING, Permissions

__all__ = ["FORMAT", "JOBLIB_FORMAT", "Artifact", "dump", "format_of", "load", "load_parts", "open_artifact"]

FORMAT = "retraining-model-1"
"""The name of the format, for records that point to an artifact."""
JOBLIB_FORMAT = "retraining-model-1-joblib"
"""The same with a payload of joblib: who follows the pointer knows before a byte is read."""
_VERSION = 1
_MAGIC = b"\x89RTMODEL"
_DIGEST = slice(8, 40)
_HEADER_AT = 48
# Tree arrays shrink 4 times at any level; the higher ones only take longer.
_LEVEL = 1
# What zlib makes of real models is at most 30 times smaller; only a bomb of more than this is much smaller.
_SMALL_PAYLOAD = 2**28
_MOST_SHRUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An artifact taken apart: the header's document, and the estimator in its own format."""

    header: dict[str, Any]
    payload: bytes

    @property
    def kind(self) -> str:
        """The format of the payload: skops, xgboost or joblib."""
        return str(self.header.get("kind"))


def dump(model: FittedModel, permissions: Permissions = NOTHING) -> bytes:
    """The model as bytes, equal for equal models in any process with the same library versions.

    Raises FitError for an estimator that cannot be stored without running code when it is read, unless that
    was allowed.
    """
    kind, payload = _write_payload(model, permissions)
    header = {
        "format": _VERSION,
        "spec": _spec_document(model.spec),
        "seed": model.seed,
        "encoding": _encoding_document(model.encoding),
        "present": list(model.present),
        "kind": kind,
        "payload_bytes": len(payload),
    }
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    body = len(text).to_bytes(8, "big") + text + zlib.compress(payload, _LEVEL)
    return _MAGIC + hashlib.sha256(body).digest() + body


def format_of(data: bytes) -> str:
    """The name of an artifact's format, for the record that will point to it."""
    return JOBLIB_FORMAT if open_artifact(data).kind == "joblib" else FORMAT


def load(data: bytes, permissions: Permissions = NOTHING, what: str = "this model") -> FittedModel:
    """The model that `dump` wrote, with bit-equal predictions; IntegrityError for anything else.

    A library of another version than the writer's may refuse its own format; that is an IntegrityError too.
    Raises InputError for what only `permissions` allow; `what` names the model in messages.
    """
    return load_parts(open_artifact(data), permissions, what)


def load_parts(
    artifact: Artifact, permissions: Permissions = NOTHING, what: str = "this model"
) -> FittedModel:
    """The model of an artifact that was taken apart; errors as those of `load`."""
    header = artifact.header
    if artifact.kind == "joblib" and not permissions.joblib:
        raise joblib_refused(what)
    try:
        spec = _read_spec(header["spec"])
        present = tuple(int(code) for code in header["present"])
        return FittedModel(
            spec=spec,
            seed=int(header["seed"]),
            encoding=_read_encoding(header["encoding"]),
            present=present,
            estimator=_read_payload(spec, artifact, present, permissions, what),
        )
    except (MemoryError, InputError):
        raise
    except Exception as error:
        text = " ".join(str(error).split("Stack trace:")[0].split())[:300]
        raise _damaged(f"its content cannot be read: {type(error).__name__}: {text}") from error


def open_artifact(data: bytes) -> Artifact:
    """The parts of an artifact, nothing of which was run; IntegrityError for bytes that are none."""
    if data[:8] != _MAGIC:
        raise _damaged("it does not begin as one")
    if len(data) < _HEADER_AT or hashlib.sha256(memoryview(data)[40:]).digest() != data[_DIGEST]:
        raise _damaged("its bytes are not those that were written (wrong digest)")
    end = _HEADER_AT + int.from_bytes(data[40:_HEADER_AT], "big")
    try:
        header = json.loads(data[_HEADER_AT:end])
        if isinstance(header["format"], int) and header["format"] > _VERSION:
            raise StoreError(
                f"a model was written by a newer version of retraining (format {header['format']}, this one "
                f"reads {_VERSION})",
                "upgrade with `pip install --upgrade retraining`",
            )
        if header["format"] != _VERSION:
            raise ValueError(f"format {header['format']!r}, this version reads format {_VERSION}")
        size = int(header["payload_bytes"])
        if size > max(_SMALL_PAYLOAD, _MOST_SHRUNK * (len(data) - end)):
            raise ValueError(f"the payload claims {size:,} bytes in {len(data) - end:,}")
        inflate = zlib.decompressobj()
        payload = inflate.decompress(data[end:], size)
        if len(payload) != header["payload_bytes"] or not inflate.eof or inflate.unused_data:
            raise ValueError("the payload's size is not what the header says")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, zlib.error) as error:
        raise _damaged(f"its frame cannot be read: {type(error).__name__}: {error}") from error
    return Artifact(header=header, payload=payload)


def _write_payload(model: FittedModel, permissions: Permissions) -> tuple[Payload, bytes]:
    if _is_xgboost(model.spec):
        return "xgboost", bytes(model.estimator.get_booster().save_raw(raw_format="ubj"))
    return write_payload(model.spec.type, model.estimator, permissions)


def _is_xgboost(spec: EstimatorSpec) -> bool:
    return spec.module == "xgboost" and not spec.own


def _read_payload(
    spec: EstimatorSpec, artifact: Artifact, present: tuple[int, ...], permissions: Permissions, what: str
) -> Any:
    allowed = ("xgboost",) if _is_xgboost(spec) else ("skops", "joblib") if spec.own else ("skops",)
    if artifact.kind not in allowed:
        raise ValueError(f"payload of kind {artifact.kind!r} for {spec.module}.{spec.type}")
    if artifact.kind == "xgboost":
        estimator = build_estimator(spec, present=present, seed=int(artifact.header["seed"]))
        estimator.load_model(bytearray(artifact.payload))
        return estimator
    if spec.own:
        return _read_own(artifact, permissions, what)
    expected = estimator_class(spec.module, spec.type)
    estimator = read_estimator(artifact.payload)
    if type(estimator) is not expected:
        raise ValueError(f"holds a {type(estimator).__name__}, the header says {spec.type}")
    return estimator


def _read_own(artifact: Artifact, permissions: Permissions, what: str) -> Any:
    extend_path(permissions)
    if artifact.kind == "joblib":
        return read_joblib(artifact.payload)
    try:
        return read_estimator(artifact.payload, permissions)
    except UntrustedError as error:
        raise untrusted_refused(what, error.names) from error
    except FitError as error:
        raise InputError(error.message, error.next_step) from error


def _spec_document(spec: EstimatorSpec) -> dict[str, Any]:
    document = {
        "type": spec.type,
        "module": spec.module,
        "parameters": dict(spec.parameters),
        "preprocess": spec.preprocess,
        "task": spec.task,
        "accepts_nan": spec.accepts_nan,
        "needs_scaling": spec.needs_scaling,
        "classes": list(spec.classes),
    }
    # of estimators of the user's own alone, so that other models keep their bytes
    return document | {"graded": spec.graded} if spec.own else document


def _read_spec(document: dict[str, Any]) -> EstimatorSpec:
    return EstimatorSpec(**{**document, "classes": tuple(document["classes"])})


def _encoding_document(encoding: Encoding) -> dict[str, Any]:
    return {
        "names": list(encoding.names),
        "vocabulary": [[column, list(texts)] for column, texts in sorted(encoding.vocabulary.items())],
        "categories": encoding.categories,
        "unknown": None if np.isnan(encoding.unknown) else encoding.unknown,
        "fill": _numbers(encoding.fill),
        "centre": _numbers(encoding.centre),
        "scale": _numbers(encoding.scale),
    }


def _read_encoding(document: dict[str, Any]) -> Encoding:
    return Encoding(
        names=tuple(document["names"]),
        vocabulary={int(column): tuple(texts) for column, texts in document["vocabulary"]},
        categories=document["categories"],
        unknown=float("nan") if document["unknown"] is None else float(document["unknown"]),
        fill=_array(document["fill"]),
        centre=_array(document["centre"]),
        scale=_array(document["scale"]),
    )


def _numbers(array: NDArray[np.float64] | None) -> list[float] | None:
    return None if array is None else [float(number) for number in array]


def _array(numbers: list[float] | None) -> NDArray[np.float64] | None:
    return None if numbers is None else np.array(numbers, dtype=np.float64)


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(
        f"this is not a model artifact as `retraining` writes it: {what}",
        "check the store's disk with its record's digest, and train the node again",
    )
