"""What a store or a manifest asks for is not what is done: permissions come from outside, and bombs are refused."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import pickle
import sys
import zlib
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from retraining.errors import InputError, IntegrityError
from retraining.learn.archive import read_estimator, write_estimator
from retraining.learn.estimators import EstimatorSpec
from retraining.learn.fitting import fit
from retraining.learn.persistence import dump, load
from retraining.manifest.permissions import Permissions, read_permissions

from .kinds import fitted
from .samples import amounts, numbers
from .test_persistence import COMMAND, RIDGE, inside, node, reframed, with_schema

OWN = """
import fractions
from os import system

from sklearn.base import BaseEstimator, RegressorMixin


class Mean(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        self.mean_ = float(y.mean())
        return self

    def predict(self, X):
        return [self.mean_] * len(X)


class Odd(Mean):
    def fit(self, X, y):
        self.share_ = fractions.Fraction(1, 3)
        return super().fit(X, y)
"""
ALLOWED = Permissions(packages=("owncode",))


@pytest.fixture(autouse=True)
def owncode(tmp_path, monkeypatch):
    (tmp_path / "owncode.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("owncode", None)


def own_model(name="Mean", permissions=ALLOWED):
    spec = EstimatorSpec(
        type=f"owncode:{name}",
        module="owncode",
        parameters={},
        preprocess="auto",
        task="regression",
        accepts_nan=False,
        needs_scaling=True,
    )
    rows = numbers()
    return fit(spec, rows, amounts(rows), seed=0, permissions=permissions)


def test_permissions_come_from_the_environment_and_the_caller_together():
    found = read_permissions({"RETRAINING_ALLOW": "shop, teams.models ,"}, ("more,other",))
    assert found.packages == ("shop", "teams.models", "more", "other")
    assert [found.allows(name) for name in ("shop", "shop.a.b", "shopping", "teams", "teams.models.x")] == [
        *(True, True, False, False, True)
    ]
    assert not found.joblib
    assert read_permissions({"RETRAINING_ALLOW_JOBLIB": "1"}).joblib
    assert not read_permissions({"RETRAINING_ALLOW_JOBLIB": "0"}).joblib
    with pytest.raises(ValueError, match="is no package"):
        read_permissions({}, ("a/b",))


def test_a_class_of_ones_own_is_read_only_where_its_package_is_allowed():
    data = dump(own_model(), ALLOWED)
    sys.modules.pop("owncode")
    with pytest.raises(InputError, match=r"holds owncode\.Mean"):
        load(data)
    assert "owncode" not in sys.modules
    assert load(data, ALLOWED).predict(numbers()).shape == (240, 1)


@pytest.mark.parametrize(
    "strange",
    [
        node("FunctionNode", "owncode", "system"),
        node("ConstructorFromReduceNode", "owncode", "system", content=COMMAND),
        node("TypeNode", "owncode", "system"),
        node("FunctionNode", "os", "system"),
        node("ObjectNode", "subprocess", "Popen", content=COMMAND),
    ],
    ids=lambda value: f"{value['__loader__']} {value['__module__']}.{value['__class__']}",
)
def test_an_allowed_package_is_no_way_to_what_it_only_imported(strange, tmp_path):
    mark = tmp_path / "ran"
    text = json.dumps(strange).replace("{mark}", str(mark))
    forged = reframed(
        dump(own_model(), ALLOWED), change_payload=with_schema(inside("mean_", json.loads(text)))
    )
    with pytest.raises((InputError, IntegrityError)) as caught:
        load(forged, ALLOWED)
    assert "--allow os" not in str(caught.value)
    assert not mark.exists()


def test_a_header_that_says_joblib_runs_nothing_without_permission(tmp_path):
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            import os

            return os.system, (f"touch {mark}",)

    evil = pickle.dumps(Evil())
    for base in (dump(own_model(), ALLOWED), dump(fitted(RIDGE, 0))):
        forged = reframed(base, lambda header: {**header, "kind": "joblib"}, lambda _: evil)
        with pytest.raises(InputError, match="runs code when it is loaded"):
            load(forged, ALLOWED)
    # a model of the catalogue is never unpickled, whatever is allowed
    with pytest.raises(IntegrityError):
        load(forged, Permissions(packages=("owncode",), joblib=True))
    assert not mark.exists()


def test_joblib_holds_what_skops_cannot_where_it_is_allowed():
    joblib = Permissions(packages=("owncode",), joblib=True)
    model = own_model("Odd", joblib)
    data = dump(model, joblib)
    with pytest.raises(InputError, match="RETRAINING_ALLOW_JOBLIB=1"):
        load(data, ALLOWED)
    np.testing.assert_array_equal(load(data, joblib).predict(numbers()), model.predict(numbers()))


def test_an_artifact_that_would_unpack_to_far_more_than_it_has_is_refused():
    data = dump(fitted(RIDGE, 0))
    end = 48 + int.from_bytes(data[40:48], "big")
    header = {**json.loads(data[48:end]), "payload_bytes": 2**40}
    text = json.dumps(header).encode()
    body = len(text).to_bytes(8, "big") + text + zlib.compress(bytes(2**20))
    with pytest.raises(IntegrityError, match="claims"):
        load(data[:8] + hashlib.sha256(body).digest() + body)


def test_a_bomb_inside_an_archive_is_refused_before_it_unpacks():
    source = ZipFile(io.BytesIO(write_estimator(fitted(RIDGE, 0).estimator)))
    parts = {name: source.read(name) for name in source.namelist()}
    packed = io.BytesIO()
    with ZipFile(packed, "w", compression=ZIP_DEFLATED) as target:
        for name, part in {**parts, "big.npy": bytes(2**22)}.items():
            target.writestr(name, part)
    with pytest.raises(ValueError, match="compressed"):
        read_estimator(packed.getvalue())
    claimed = io.BytesIO()
    with ZipFile(claimed, "w") as target:
        for name, part in parts.items():
            if name.endswith(".npy"):
                array = io.BytesIO()
                np.lib.format.write_array_header_1_0(
                    array, {"descr": "<f8", "fortran_order": False, "shape": (2**45,)}
                )
                part = array.getvalue()
            target.writestr(name, part)
    with pytest.raises(ValueError, match="claims"):
        read_estimator(claimed.getvalue())
