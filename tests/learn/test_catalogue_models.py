"""Every estimator that a manifest may name is stored without code and predicts the same bits afterwards."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retraining.learn.persistence import dump, load
from retraining.learn.threads import one_thread
from retraining.manifest.catalog import estimators

from .catalogue import fitted, table

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.slow
def test_every_estimator_of_the_catalogue_predicts_the_same_bits_after_loading_and_stores_the_same_bytes():
    # other hash seeds and another filling of fresh memory: neither may show in an artifact
    variables = {
        **os.environ,
        "PYTHONHASHSEED": "11",
        "MALLOC_PERTURB_": "85",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", str(Path(__file__).with_name("catalogue.py"))],
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        here = {}
        rows = table()
        with one_thread():
            for name, info in estimators().items():
                model = fitted(info)
                data = dump(model)
                copy = load(data)
                np.testing.assert_array_equal(copy.predict(rows), model.predict(rows), err_msg=name)
                assert dump(copy) == data, name
                here[name] = hashlib.sha256(data).hexdigest()
        assert other.stdout is not None
        there = dict(line.split() for line in other.stdout)
    assert other.returncode == 0
    assert there == here
    assert len(here) > 70
