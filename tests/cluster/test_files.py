"""The files of `cluster/` are what KubeRay, `ray up` and Docker accept, as far as that can be said without them."""

from __future__ import annotations

import os
import re
import shlex
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml

from retraining.cli.group import root

from .conftest import ROOT

FOLDER = ROOT / "cluster"
#: Where KubeRay's custom resource definitions are: too large, and not ours, to lie here.
DEFINITIONS = os.environ.get("RETRAINING_TEST_KUBERAY", "")
WHY = (
    "no KubeRay definitions: RETRAINING_TEST_KUBERAY=FOLDER with ray.io_rayclusters.yaml, ray.io_rayjobs.yaml and "
    "ray.io_raycronjobs.yaml of KubeRay's ray-operator/config/crd/bases"
)
KUBERAY = ["kuberay-cluster.yaml", "kuberay-job.yaml", "kuberay-cronjob.yaml"]


def read(name: str):
    return yaml.safe_load((FOLDER / name).read_text())


def strict(schema):
    """A definition's schema as jsonschema knows it; where properties are listed, no other is allowed."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: strict(one) for name, one in schema.items() if not name.startswith("x-kubernetes")}
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if "properties" in schema and isinstance(schema.get("properties"), dict) and "type" in schema:
        found.setdefault("additionalProperties", False)
    return found


@cache
def definition(kind: str):
    """The check of a kind, in version v1."""
    if not DEFINITIONS:
        pytest.skip(WHY)
    text = (Path(DEFINITIONS) / f"ray.io_{kind.lower()}s.yaml").read_text()
    versions = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"]["versions"]
    schema = next(one["schema"]["openAPIV3Schema"] for one in versions if one["name"] == "v1")
    schema["properties"]["metadata"] = {"type": "object", "properties": {"name": {"type": "string"}}}
    return jsonschema.Draft202012Validator(strict(schema))


@pytest.mark.parametrize("name", KUBERAY)
def test_kuberay_knows_every_field(name):
    document = read(name)
    definition(document["kind"]).validate(document)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("kuberay-job.yaml", ["spec", "shutdownAfterJobFinish"], True),
        ("kuberay-job.yaml", ["spec", "backoffLimit"], "1"),
        ("kuberay-cluster.yaml", ["spec", "headGroupSpec", "rayStartParams", "num-cpus"], 0),
        ("kuberay-cronjob.yaml", ["spec", "jobTemplate", "rayClusterSpec", "workers"], 1),
    ],
)
def test_the_check_sees_a_field_that_kuberay_does_not_know(name, path, value):
    document = read(name)
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        definition(document["kind"]).validate(document)


def cluster_of(document):
    spec = document["spec"]
    spec = spec.get("jobTemplate", spec)
    return spec.get("rayClusterSpec", spec)


@pytest.mark.parametrize("name", KUBERAY)
def test_heads_do_no_fits_and_every_machine_has_the_same_image_and_the_store(name):
    cluster = cluster_of(read(name))
    assert cluster["authOptions"] == {"mode": "token"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert groups[0]["rayStartParams"]["num-cpus"] == "0"
    containers = [group["template"]["spec"]["containers"][0] for group in groups]
    assert len({one["image"] for one in containers}) == 1
    assert all({"secretRef": {"name": "retraining-store"}} in one["envFrom"] for one in containers)
    # workers need no signing key (docs/security.md)
    assert not any("env" in one for one in containers[1:])
    for group, one in zip(groups[1:], containers[1:], strict=True):
        assert one["resources"]["requests"]["cpu"] == group["rayStartParams"]["num-cpus"]


def test_the_nightly_run_is_the_run():
    assert read("kuberay-cronjob.yaml")["spec"]["jobTemplate"] == read("kuberay-job.yaml")["spec"]


def test_every_file_names_the_ray_of_the_image():
    image = re.search(r"^FROM rayproject/ray:([\d.]+)-py", (FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    assert image is not None
    assert {cluster_of(read(name))["rayVersion"] for name in KUBERAY} == {image.group(1)}


def test_ray_up_accepts_its_file_and_refuses_a_misspelled_one():
    from ray.autoscaler._private.util import prepare_config, validate_config

    document = read("ray-up.yaml")
    validate_config(prepare_config(document))
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config({**document, "max_worker": 3}))


def commands(text: str):
    """The commands `retrain …` of a file, one a line."""
    for line in text.replace("\\\n", " ").splitlines():
        found = re.match(r"[#\s]*(retrain [a-z].*)$", line)
        if found is not None:
            yield shlex.split(found.group(1).partition(" #")[0])


@pytest.mark.parametrize(
    "name", sorted(path.name for path in FOLDER.iterdir() if path.suffix in (".yaml", ".md"))
)
def test_every_command_that_a_file_shows_is_one_that_retrain_understands(name, monkeypatch):
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://head:8265")  # as several_nodes.py says
    text = (FOLDER / name).read_text()
    for words in commands(text):
        verb = root.get_command(None, words[1])  # type: ignore[arg-type]
        assert verb is not None, words
        verb.make_context(words[1], words[2:])


def test_the_image_is_built_from_what_is_there_and_runs_as_no_root():
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    steps = [line.split(None, 1) for line in text.splitlines() if line and not line.startswith("#")]
    words = [step for step, _ in steps]
    assert words[0] == "FROM"
    assert set(words) <= {"FROM", "WORKDIR", "COPY", "RUN", "ENV"}
    host, _, tag = steps[0][1].partition("/")[0], *steps[0][1].partition(":")[1:]
    assert "." not in host  # no registry's name
    assert tag not in ("", "latest")
    for step, rest in steps:
        if step == "COPY":
            *sources, target = [word for word in rest.split() if not word.startswith("--")]
            assert all((ROOT / source).exists() for source in sources)
            assert target.startswith("./")
        if step == "RUN":
            assert rest.count("pip install") == rest.count("--no-cache-dir")
            assert "sudo" not in rest


def test_no_file_holds_a_secret_or_an_address_of_a_registry():
    forbidden = re.compile(r"AKIA|BEGIN [A-Z ]*PRIVATE KEY|(?<!\bray)\.io/|docker\.(io|com)|ghcr|quay")
    for path in FOLDER.iterdir():
        if path.is_file():
            assert not forbidden.search(path.read_text()), path.name
