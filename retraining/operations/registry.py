"""Exports a release to an MLflow server: a run and a registered model for each node, aliases for who serves.

Doing it twice changes nothing: a version that the registry has, by the tags that are left on it, is not logged again.
Versions come first and aliases last, so that a reader of aliases never meets half of a release's models.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retraining.errors import InputError
from retraining.learn.permitted import permitted
from retraining.manifest.values import Json
from retraining.operations.mlflow_server import (
    check_reachable,
    client_library,
    told,
    tracking,
    without_credentials,
)
from retraining.prediction.exporting import export_files, write_export
from retraining.prediction.past import History
from retraining.prediction.predictor import Release
from retraining.release.values import BlobPointer, NodeState
from retraining.store.log import Store, open_store
from retraining.store.packs import read_blob

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Registered", "RegistrySummary", "export_to_mlflow"]

CHAMPION, CHALLENGER = "champion", "challenger"
#: Outcomes of a last attempt that may still come to serve.
_OPEN = ("waiting", "pending")
_LONGEST_PARAM = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A node's version in the registry: its model's name and number there, and whether it was new."""

    node: str
    name: str
    version: str
    alias: str
    new: bool

    def to_json(self) -> dict[str, Json]:
        """The same as JSON values."""
        return {
            "node": self.node,
            "name": self.name,
            "version": self.version,
            "alias": self.alias,
            "new": self.new,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySummary:
    """What was exported to which server (without credentials) and experiment."""

    release: int
    target: str | None
    server: str
    experiment: str
    registered: tuple[Registered, ...]

    def text(self) -> str:
        """What was done, for people."""
        new = sum(one.new for one in self.registered)
        champions = sum(one.alias == CHAMPION for one in self.registered)
        challengers = sum(one.alias == CHALLENGER for one in self.registered)
        what = f"{self.target} of release {self.release}" if self.target else f"release {self.release}"
        return (
            f"{what} to MLflow at {self.server}, experiment {self.experiment}: {new} versions logged, "
            f"{len(self.registered) - new} there already; aliases: {champions} {CHAMPION}, "
            f"{challengers} {CHALLENGER}"
        )

    def to_json(self) -> dict[str, Json]:
        """The same as JSON values."""
        return {
            "server": self.server,
            "experiment": self.experiment,
            "registered": [one.to_json() for one in self.registered],
        }


def export_to_mlflow(
    store: str,
    uri: str,
    target: str | None = None,
    release: int | None = None,
    *,
    history: History = "recorded",
) -> RegistrySummary:
    """Registers the nodes of a release (None: the newest), or those of one model or node, on an MLflow server.

    Aliases are moved for the newest release alone: `champion` is the released version, `challenger` one that won and
    waits, or is pending. Raises InputError without MLflow, StoreError for the store and the server.
    """
    mlflow = client_library()
    opened = open_store(store)
    newest = opened.read_head()
    head = newest if release is None else opened.read_release(release)
    chosen = Release(opened, head, permitted())
    asked = _asked(chosen, target)
    server = without_credentials(uri)
    check_reachable(uri, server)
    with told(mlflow, server), tracking(mlflow, uri):
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        manifest = dict(head.entry.manifest) if head.entry is not None else {}
        registry = _Registry(
            client=client,
            release=chosen,
            manifest=manifest.get("name", "retraining"),
            store=opened,
            history=history,
        )
        found = [registry.champion(node) for node in asked]
        current = head.release == newest.release
        if current:
            found += [one for node in asked if (one := registry.challenger(node)) is not None]
            registry.set_aliases(found, asked)
    return RegistrySummary(
        release=chosen.number,
        target=target,
        server=server,
        experiment=registry.manifest,
        registered=tuple(found if current else (replace(one, alias="") for one in found)),
    )


def _asked(release: Release, target: str | None) -> list[str]:
    if target is None:
        return list(release.nodes)
    return sorted(release.asked(target))


class _Registry:
    """One export's dealings with the server."""

    def __init__(
        self, *, client: MlflowClient, release: Release, manifest: str, store: Store, history: History
    ) -> None:
        self.client = client
        self.release = release
        self.manifest = manifest
        self._store = store
        self._history = history
        self._experiment = self._experiment_id()

    def champion(self, node: str) -> Registered:
        """The released version of a node in the registry, logged if it is not there yet."""
        return self._registered(self.release, node, CHAMPION)

    def challenger(self, node: str) -> Registered | None:
        """The version of a node that won and does not serve yet; None where there is none."""
        states: dict[str, NodeState] = dict(self.release.head.nodes)
        if not self._challenge(node, states):
            return None
        head = replace(self.release.head, nodes=states)
        return self._registered(Release(self._store, head, permitted()), node, CHALLENGER)

    def set_aliases(self, found: list[Registered], asked: list[str]) -> None:
        """Moves the aliases to these versions, and takes `challenger` away where there is none."""
        for one in found:
            self.client.set_registered_model_alias(one.name, one.alias, one.version)
        challenged = {one.node for one in found if one.alias == CHALLENGER}
        for node in asked:
            name = self._name(node)
            if node not in challenged and CHALLENGER in self.client.get_registered_model(name).aliases:
                self.client.delete_registered_model_alias(name, CHALLENGER)

    def _challenge(self, node: str, states: dict[str, NodeState]) -> bool:
        """Puts a node's open challenger, and those of the upstreams that it was trained on, into the states."""
        state = self.release.head.nodes[node]
        attempt = state.attempt
        if attempt is None or attempt.outcome not in _OPEN or attempt.document is None:
            return False
        document = json.loads(read_blob(self._store.objects, attempt.document))
        model = document["fits"].get(_shipped(document), {}).get("model")
        if model is None:
            return False
        for upstream, version in document["wiring"].items():
            other = self.release.head.nodes.get(upstream)
            if other is None or (other.version != version and not self._challenge(upstream, states)):
                return False
        states[node] = replace(
            state,
            version=attempt.version,
            document=attempt.document,
            artifact=BlobPointer.from_json(model),
            time=attempt.time,
            run=attempt.run,
            wiring=document["wiring"],
        )
        return True

    def _registered(self, release: Release, node: str, alias: str) -> Registered:
        name, state = self._name(node), release.state(node)
        version = state.version or ""
        known = self._known(name, version)
        new = known is None
        if known is None:
            run = self._logged(release, node)
            source = f"{self.client.get_run(run).info.artifact_uri}/model"
            tags = self._tags(release, node)
            known = str(self.client.create_model_version(name, source, run_id=run, tags=tags).version)
        else:
            self.client.set_model_version_tag(name, known, "retraining.release", str(release.number))
        return Registered(node=node, name=name, version=known, alias=alias, new=new)

    def _known(self, name: str, version: str) -> str | None:
        """The number of a version in the registry, by the tag that was left on it; the model is made if need be."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self.client.create_registered_model(name, tags={"retraining.manifest": self.manifest})
        quote = '"' if "'" in name else "'"
        page = None
        while True:
            found = self.client.search_model_versions(f"name={quote}{name}{quote}", page_token=page)
            for one in found:
                if one.tags.get("retraining.version") == version:
                    return str(one.version)
            page = found.token
            if not page:
                return None

    def _logged(self, release: Release, node: str) -> str:
        """The id of the run that holds a version: params, metrics, tags, and the model with its ancestors."""
        version = release.state(node).version or ""
        where = f"tags.`retraining.version` = '{version}'"
        for run in self.client.search_runs([self._experiment], where):
            if run.data.tags.get("retraining.node") != node:
                continue
            if run.info.status == "FINISHED":
                return str(run.info.run_id)
            self.client.delete_run(run.info.run_id)  # an export that was cut off
        document = json.loads(release.document(node))
        tags = {**self._tags(release, node), "mlflow.note.content": str(document["because"])}
        run = self.client.create_run(self._experiment, run_name=node, tags=tags)
        run_id = str(run.info.run_id)
        for key, value in _params(document).items():
            self.client.log_param(run_id, key, value)
        for key, number in _metrics(document).items():
            self.client.log_metric(run_id, key, number)
        with tempfile.TemporaryDirectory() as folder:
            self.client.log_artifacts(run_id, str(_save(release, node, Path(folder), self._history)), "model")
        self.client.set_terminated(run_id)
        return run_id

    def _tags(self, release: Release, node: str) -> dict[str, str]:
        state = release.state(node)
        return {
            "retraining.manifest": self.manifest,
            "retraining.release": str(release.number),
            "retraining.node": node,
            "retraining.version": state.version or "",
            "retraining.run": state.run,
            "retraining.made": state.time,
        }

    def _name(self, node: str) -> str:
        """The node's name in the registry, which allows neither slash nor colon."""
        plain = node.replace("%", "%25").replace("/", "%2F").replace(":", "%3A")
        return f"{self.manifest}.{plain}"

    def _experiment_id(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(self.manifest)
        if found is None:
            with contextlib.suppress(MlflowException):  # another export may have made it just now
                return str(self.client.create_experiment(self.manifest))
            found = self.client.get_experiment_by_name(self.manifest)
        if found is None or found.lifecycle_stage != "active":
            raise InputError(
                f"the experiment {self.manifest} was deleted on the MLflow server", "restore it there"
            )
        return str(found.experiment_id)


def _save(release: Release, node: str, folder: Path, history: History) -> Path:
    """An MLflow model of a node and its ancestors: its pyfunc flavour loads it without the store."""
    import mlflow.pyfunc

    from retraining import __version__

    exported = folder / "export"
    write_export(export_files(release, node, history), exported)
    model = folder / "model"
    mlflow.pyfunc.save_model(
        path=str(model),
        loader_module="retraining.prediction.flavor",
        data_path=str(exported),
        pip_requirements=[f"retraining=={__version__}"],
    )
    return model


def _params(document: Mapping[str, Any]) -> dict[str, str]:
    """What a version was made by, as MLflow's params, which are short texts."""
    definition = document["recipe"]["definition"]
    found: dict[str, Any] = {f"estimator.{name}": value for name, value in definition["parameters"].items()}
    plain = ("estimator", "version", "features", "inputs", "target", "validation", "seed", "window", "weight")
    found |= {name: definition[name] for name in plain if definition.get(name) not in (None, [], {})}
    found["dataset"] = document["recipe"]["dataset"]
    return {_key(name): _short(value) for name, value in found.items()}


def _metrics(document: Mapping[str, Any]) -> dict[str, float]:
    """What the gate measured: the version's metrics by their names, the others' behind who they are of."""
    verdict = document.get("verdict") or {}
    found: dict[str, float] = {}
    for whose, prefix in (("challenger", ""), ("champion", "champion."), ("dummy", "dummy.")):
        for name, value in (verdict.get(whose) or {}).items():
            if isinstance(value, int | float) and math.isfinite(value):
                found[_key(prefix + name)] = float(value)
    for name, value in (verdict.get("holdout") or {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[_key(f"holdout.{name}")] = float(value)
    return found


def _shipped(document: Mapping[str, Any]) -> str:
    """The name of the shipped fit among a document's fits."""
    return "-" if document["cut_block"] is None else f"<{document['cut_block']}"


def _key(name: str) -> str:
    """A name as MLflow allows it for params and metrics."""
    return re.sub(r"[^A-Za-z0-9_\-. /]", ".", name)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST_PARAM else text[: _LONGEST_PARAM - 1] + "…"
