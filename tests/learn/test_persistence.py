from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import subprocess
import sys
import zlib
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from retraining.errors import IntegrityError, StoreError
from retraining.learn.archive import write_estimator
from retraining.learn.estimators import FitError
from retraining.learn.fitting import fit
from retraining.learn.persistence import dump, load

from .kinds import KINDS, fitted
from .samples import amounts, mixed, numbers, spec

RIDGE = ("sklearn.linear_model", "Ridge", {})


def reframed(data, change_header=lambda header: header, change_payload=lambda payload: payload):
    """The artifact after a forger changed it and made its digest right again."""
    end = 48 + int.from_bytes(data[40:48], "big")
    payload = change_payload(zlib.decompress(data[end:]))
    header = change_header({**json.loads(data[48:end]), "payload_bytes": len(payload)})
    text = json.dumps(header).encode()
    body = len(text).to_bytes(8, "big") + text + zlib.compress(payload)
    return data[:8] + hashlib.sha256(body).digest() + body


def with_schema(change):
    """A forger's change of a skops payload: a function of its schema."""

    def changed(payload):
        source = ZipFile(io.BytesIO(payload))
        buffer = io.BytesIO()
        with ZipFile(buffer, "w") as target:
            for name in source.namelist():
                part = source.read(name)
                if name == "schema.json":
                    part = json.dumps(change(json.loads(part))).encode()
                target.writestr(name, part)
        return buffer.getvalue()

    return changed


@pytest.mark.parametrize(("kind", "n_classes"), KINDS, ids=lambda value: str(value))
def test_a_loaded_model_predicts_bit_for_bit_and_stores_as_the_same_bytes(kind, n_classes):
    model = fitted(kind, n_classes)
    data = dump(model)
    copy = load(data)
    table = mixed(seed=9)
    np.testing.assert_array_equal(copy.predict(table), model.predict(table))
    assert (copy.spec, copy.seed, copy.present, copy.names) == (
        model.spec,
        model.seed,
        model.present,
        model.names,
    )
    # after prediction too: some estimators count how often they were asked
    assert dump(model) == data
    assert dump(copy) == data


@pytest.mark.slow
def test_two_processes_store_the_same_bytes():
    here = [hashlib.sha256(dump(fitted(*kind))).hexdigest() for kind in KINDS]
    root = Path(__file__).parents[2]
    # other hash seeds and another filling of fresh memory: neither may show in an artifact
    variables = {**os.environ, "PYTHONHASHSEED": "7", "MALLOC_PERTURB_": "170", "PYTHONPATH": str(root)}
    there = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("kinds.py"))],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == here


def test_what_was_learned_of_the_columns_is_stored_exactly():
    table = mixed()
    table.values[:, 0] *= np.pi * 1e-7
    model = fitted(RIDGE, 0)
    model = fit(model.spec, table, amounts(table), seed=1)
    copy = load(dump(model))
    for name in ("fill", "centre", "scale"):
        np.testing.assert_array_equal(getattr(copy.encoding, name), getattr(model.encoding, name))
    assert copy.encoding.vocabulary == {2: ("AA", "B6", "UA"), 3: ("fog", "rain", "sun")}


def test_an_artifact_holds_no_pickle_and_no_trace_of_the_machine():
    data = dump(fitted(("sklearn.ensemble", "RandomForestRegressor", {"n_estimators": 2}), 0))
    end = 48 + int.from_bytes(data[40:48], "big")
    payload = zlib.decompress(data[end:])
    archive = ZipFile(io.BytesIO(payload))
    assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert b"__id__" not in archive.read("schema.json")
    assert {name.rpartition(".")[2] for name in archive.namelist()} == {"npy", "json"}
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(payload)


@pytest.mark.parametrize("kind", [RIDGE, ("xgboost", "XGBRegressor", {"n_estimators": 2})], ids=str)
def test_any_damage_is_an_integrity_error(kind):
    data = dump(fitted(kind, 0))
    rng = random.Random(5)
    damaged = [data[:cut] for cut in (0, 1, 7, 8, 39, 40, 47, 48, 60, len(data) // 2, len(data) - 1)]
    damaged += [data + b"\0", b"\0" * 100, b"PK\x03\x04" + data, pickle.dumps([1])]
    for _ in range(300):
        at = rng.randrange(len(data))
        damaged.append(data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
    for bad in damaged:
        with pytest.raises(IntegrityError) as caught:
            load(bad)
        assert "train the node again" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda header: {**header, "format": 0},
        lambda header: {**header, "format": "1"},
        lambda header: {**header, "payload_bytes": -1},
        lambda header: {**header, "payload_bytes": 1},
        lambda header: {**header, "payload_bytes": "many"},
        lambda header: {**header, "payload_bytes": 10**40},
        lambda header: {**header, "kind": "pickle"},
        lambda header: {**header, "kind": "xgboost"},
        lambda header: {**header, "seed": None},
        lambda header: {**header, "present": "ab"},
        lambda header: {**header, "encoding": {}},
        lambda header: {**header, "encoding": {**header["encoding"], "fill": ["x"]}},
        lambda header: {**header, "spec": []},
        lambda header: {**header, "spec": {**header["spec"], "type": "Lasso"}},
        lambda header: {**header, "spec": {**header["spec"], "module": "os", "type": "system"}},
        lambda header: {**header, "spec": {**header["spec"], "surprise": 1}},
        lambda header: {key: header[key] for key in header if key != "spec"},
        lambda header: [],
        lambda header: "header",
        lambda header: None,
    ],
)
def test_a_forged_header_is_an_integrity_error(change):
    with pytest.raises(IntegrityError):
        load(reframed(dump(fitted(RIDGE, 0)), change_header=change))


def swapped(module, name, **more):
    return lambda schema: {**schema, "__module__": module, "__class__": name, **more}


def inside(name, node):
    """Puts a node among the attributes of the estimator."""

    def change(schema):
        schema["content"]["content"][name] = node
        return schema

    return change


def node(loader, module, name, **more):
    return {"__loader__": loader, "__module__": module, "__class__": name, **more}


EMPTY = node("TupleNode", "builtins", "tuple", content=[])
COMMAND = node(
    "TupleNode",
    "builtins",
    "tuple",
    content=[node("JsonNode", "builtins", "str", content='"touch {mark}"', is_json=True)],
)


@pytest.mark.parametrize(
    "change",
    [
        swapped("subprocess", "Popen"),
        swapped("os", "system", __loader__="FunctionNode"),
        swapped("builtins", "eval", __loader__="TypeNode"),
        swapped("subprocess", "Popen", __loader__="ConstructorFromReduceNode", content=COMMAND),
        swapped("sklearn.linear_model._ridge", "Ridge", __loader__="Surprise"),
        swapped("sklearn.linear_model._coordinate_descent", "Lasso"),
        inside("coef_", node("ObjectNode", "subprocess", "Popen", content=COMMAND)),
        inside("coef_", node("ConstructorFromReduceNode", "subprocess", "Popen", content=COMMAND)),
        inside("coef_", node("ConstructorFromReduceNode", "os", "system", content=COMMAND)),
        inside("coef_", node("FunctionNode", "os", "system")),
        inside("coef_", node("TypeNode", "os", "system")),
        inside("coef_", node("OperatorFuncNode", "operator", "methodcaller", attrs=COMMAND)),
        inside(
            "coef_",
            node("MethodNode", "os", "system", content={"func": "system", "obj": EMPTY}),
        ),
        inside(
            "coef_",
            node(
                "PartialNode",
                "functools",
                "partial",
                content={
                    "func": node("FunctionNode", "numpy", "add"),
                    "args": COMMAND,
                    "kwds": EMPTY,
                    "namespace": EMPTY,
                },
            ),
        ),
        inside("coef_", node("NdArrayNode", "numpy", "ndarray", type="numpy", file="evil.npy")),
        inside("coef_", node("DefaultDictNode", "os", "system", content={})),
        lambda schema: {**schema, "protocol": 0},
        lambda schema: {**schema, "protocol": 10**6},
        lambda schema: {**schema, "protocol": True},
        lambda schema: {},
        lambda schema: [],
    ],
)
def test_a_forged_payload_runs_nothing_and_is_an_integrity_error(change, tmp_path):
    mark = tmp_path / "ran"
    forged = reframed(
        dump(fitted(RIDGE, 0)),
        change_payload=with_schema(
            lambda schema: change(json.loads(json.dumps(schema).replace("{mark}", str(mark))))
        ),
    )
    with pytest.raises(IntegrityError):
        load(forged)
    assert not mark.exists()


def test_a_pickled_array_in_a_payload_is_never_unpickled(tmp_path):
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {mark}",)

    def poisoned(payload):
        source = ZipFile(io.BytesIO(payload))
        buffer = io.BytesIO()
        with ZipFile(buffer, "w") as target:
            for name in source.namelist():
                part = source.read(name)
                if name.endswith(".npy"):
                    array = io.BytesIO()
                    np.save(array, np.array([Evil()], dtype=object), allow_pickle=True)
                    part = array.getvalue()
                target.writestr(name, part)
        return buffer.getvalue()

    with pytest.raises(IntegrityError, match="allow_pickle"):
        load(reframed(dump(fitted(RIDGE, 0)), change_payload=poisoned))
    for payload in (pickle.dumps(Evil()), b"", b"{}"):
        with pytest.raises(IntegrityError):
            load(reframed(dump(fitted(RIDGE, 0)), change_payload=lambda _, new=payload: new))
    assert not mark.exists()


def test_xgboost_bytes_that_are_none_are_an_integrity_error_without_a_backtrace():
    data = dump(fitted(("xgboost", "XGBRegressor", {"n_estimators": 2}), 0))
    with pytest.raises(IntegrityError) as caught:
        load(reframed(data, change_payload=lambda payload: b"{]"))
    assert "Stack trace" not in str(caught.value)


def test_what_could_not_be_read_safely_is_refused_when_written():
    features = numbers()
    model = fit(spec("sklearn.linear_model", "Ridge"), features, amounts(features), seed=0)
    model.estimator.callback = os.system
    with pytest.raises(FitError, match="Ridge cannot be stored safely"):
        dump(model)


def test_equal_parts_of_a_forest_are_stored_once_and_sets_in_one_order():
    first, second = (
        fitted(("sklearn.ensemble", "RandomForestRegressor", {"n_estimators": 2}), 0).estimator for _ in "ab"
    )
    first.words_, second.words_ = {"b", "a", "c"}, {"c", "b", "a"}
    assert write_estimator(first) == write_estimator(second)


def test_a_model_of_a_newer_format_is_refused_by_name():
    data = reframed(dump(fitted(RIDGE, 0)), change_header=lambda header: {**header, "format": 2})
    with pytest.raises(StoreError, match=r"newer version of retraining \(format 2") as caught:
        load(data)
    assert not isinstance(caught.value, IntegrityError)
