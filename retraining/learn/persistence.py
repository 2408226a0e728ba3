"""A fitted model as bytes: one frame around a header in JSON and the estimator's own format.

::

    magic (8) | sha256 of all that follows (32) | header length (8, big endian) | header | payload

The header (UTF-8 JSON, sorted keys, `format: 1`) has the spec, the seed, the encoding, the classes of the
fit and the payload's kind and size; the payload is deflated `skops` (retraining.learn.archive) or XGBoost's
`ubj`. Invariants: equal models give equal bytes, in any process; `load` runs no code of the artifact's
choosing, and what is wrong with it is an IntegrityError. Nothing here is pickle. The digest finds damage, not
forgery: bytes made to crash XGBoost's parser can, so compare a record's digest before `load`.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retraining.errors import IntegrityError
from retraining.learn.archive import read_estimator, write_estimator
from retraining.learn.encoding import Encoding
from retraining.learn.estimators import EstimatorSpec, FitError, build_estimator, estimator_class
from retraining.learn.fitting import FittedModel

__all__ = ["FORMAT", "dump", "load"]

FORMAT = "retraining-model-1"
"""The name of the format, for records that point to an artifact."""
_VERSION = 1
_MAGIC = b"\x89RTMODEL"
_DIGEST = slice(8, 40)
_HEADER_AT = 48
# Tree arrays shrink 4 times at any level; the higher ones only take longer.
_LEVEL = 1


def dump(model: FittedModel) -> bytes:
    """The model as bytes, equal for equal models in any process with the same library versions.

    Raises FitError for an estimator that cannot be stored without running code when it is read.
    """
    kind, payload = _write_payload(model)
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


def load(data: bytes) -> FittedModel:
    """The model that `dump` wrote, with bit-equal predictions; IntegrityError for anything else.

    A library of another version than the writer's may refuse its own format; that is an IntegrityError too.
    """
    header, payload = _open_frame(data)
    try:
        spec = _read_spec(header["spec"])
        present = tuple(int(code) for code in header["present"])
        return FittedModel(
            spec=spec,
            seed=int(header["seed"]),
            encoding=_read_encoding(header["encoding"]),
            present=present,
            estimator=_read_payload(spec, header, payload, present),
        )
    except MemoryError:
        raise
    except Exception as error:
        text = " ".join(str(error).split("Stack trace:")[0].split())[:300]
        raise _damaged(f"its content cannot be read: {type(error).__name__}: {text}") from error


def _open_frame(data: bytes) -> tuple[dict[str, Any], bytes]:
    if data[:8] != _MAGIC:
        raise _damaged("it does not begin as one")
    if len(data) < _HEADER_AT or hashlib.sha256(memoryview(data)[40:]).digest() != data[_DIGEST]:
        raise _damaged("its bytes are not those that were written (wrong digest)")
    end = _HEADER_AT + int.from_bytes(data[40:_HEADER_AT], "big")
    try:
        header = json.loads(data[_HEADER_AT:end])
        if header["format"] != _VERSION:
            raise ValueError(f"format {header['format']!r}, this version reads format {_VERSION}")
        inflate = zlib.decompressobj()
        payload = inflate.decompress(data[end:], int(header["payload_bytes"]))
        if len(payload) != header["payload_bytes"] or not inflate.eof or inflate.unused_data:
            raise ValueError("the payload's size is not what the header says")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, zlib.error) as error:
        raise _damaged(f"its frame cannot be read: {type(error).__name__}: {error}") from error
    return header, payload


def _write_payload(model: FittedModel) -> tuple[str, bytes]:
    if model.spec.module == "xgboost":
        return "xgboost", bytes(model.estimator.get_booster().save_raw(raw_format="ubj"))
    try:
        return "skops", write_estimator(model.estimator)
    except Exception as error:
        message = f"{model.spec.type} cannot be stored safely: {error}"
        raise FitError(message, "use another estimator or other parameters") from error


def _read_payload(
    spec: EstimatorSpec, header: dict[str, Any], payload: bytes, present: tuple[int, ...]
) -> Any:
    if header["kind"] != ("xgboost" if spec.module == "xgboost" else "skops"):
        raise ValueError(f"payload of kind {header['kind']!r} for {spec.module}.{spec.type}")
    if header["kind"] == "xgboost":
        estimator = build_estimator(spec, present=present, seed=int(header["seed"]))
        estimator.load_model(bytearray(payload))
        return estimator
    expected = estimator_class(spec.module, spec.type)
    estimator = read_estimator(payload)
    if type(estimator) is not expected:
        raise ValueError(f"holds a {type(estimator).__name__}, the header says {spec.type}")
    return estimator


def _spec_document(spec: EstimatorSpec) -> dict[str, Any]:
    return {
        "type": spec.type,
        "module": spec.module,
        "parameters": dict(spec.parameters),
        "preprocess": spec.preprocess,
        "task": spec.task,
        "accepts_nan": spec.accepts_nan,
        "needs_scaling": spec.needs_scaling,
        "classes": list(spec.classes),
    }


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
