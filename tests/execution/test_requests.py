"""What models ask of a cluster: the options of their tasks, and an error where no node can ever give it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from retraining.errors import ClusterError
from retraining.execution.requests import roomier, unmet_request
from retraining.manifest.values import Resources

NODES = [{"CPU": 8.0, "memory": 4.0 * 2**30}, {"CPU": 2.0, "GPU": 1.0, "memory": 1.0 * 2**30, "fpga": 2.0}]


@pytest.mark.parametrize(
    "asked",
    [
        Resources(),
        Resources(cpus=8, memory=2**32),
        Resources(cpus=0.5, gpus=0.5, custom={"fpga": 1}),
        Resources(cpus=2, gpus=1, memory=2**30),
    ],
)
def test_what_one_node_has_can_be_asked_for(asked):
    assert unmet_request({"m": asked}, NODES) is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Resources(cpus=9), "9 CPU (the largest node has 8 CPU)"),
        (Resources(gpus=2), "2 GPU (the largest node has 1 GPU)"),
        (Resources(memory=5 * 2**30), "5 GiB of memory (the largest node has 4 GiB of memory)"),
        (Resources(custom={"tpu": 1}), "1 tpu (the largest node has 0 tpu)"),
        (Resources(cpus=8, gpus=1), "8 CPU, 1 GPU on one node"),
    ],
)
def test_what_no_node_has_is_named(asked, said):
    problem = unmet_request({"a": Resources(), "m": asked}, NODES)
    assert problem == f"no node of the cluster can run a fit of m, which asks for {said}"


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        (Resources(), Resources(cpus=2)),
        (Resources(cpus=2, memory=2**30), Resources(cpus=4, memory=2**31)),
        (Resources(gpus=1), Resources(cpus=2, gpus=1)),
        (Resources(memory=3 * 2**30), Resources(memory=3 * 2**30)),  # no node has twice that
    ],
)
def test_twice_the_room_is_given_where_a_node_has_it(asked, more):
    assert roomier(asked, 2, NODES) == more


def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    return pd.DataFrame({"id": np.arange(200), "x": x, "y": 2 * x + rng.normal(size=200) * 0.1})


MANIFEST = """
datasets: {d: {path: d.parquet, key: [id]}}
models:
  m: {dataset: d, target: y, features: [x], estimator: Ridge, resources: RESOURCES}
"""


def test_a_request_changes_no_fit_and_the_serial_backend_does_not_ask(bench):
    bench.write(MANIFEST.replace("RESOURCES", "{cpus: 1}"), d=table())
    first = bench.run()
    bench.write(MANIFEST.replace("RESOURCES", "{gpus: 4, memory: 900TB, custom: {fpga: 1}}"))
    again = bench.run()
    assert (again.fits_made, again.after.sequence) == (0, first.after.sequence)
    assert bench.run(force=("m",)).exit_code == 0


@pytest.mark.slow
def test_on_ray_what_fits_runs_and_what_no_node_has_is_an_error_at_once(bench):
    bench.write(MANIFEST.replace("RESOURCES", "{cpus: 2, memory: 10MB}"), d=table())
    assert bench.run(backend="ray").exit_code == 0
    bench.write(MANIFEST.replace("RESOURCES", "{custom: {fpga: 1}}"))
    with pytest.raises(ClusterError, match="asks for 1 fpga"):
        bench.run(backend="ray", force=("m",))
