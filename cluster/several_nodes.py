#!/usr/bin/env python3
"""A Ray cluster of several nodes on one machine, to try `retrain run --address` and `retrain submit`, and for tests.

    cluster/several_nodes.py start FOLDER [--nodes 2] [--cpus 1]   prints the variables to use it: eval "$(...)"
    cluster/several_nodes.py add FOLDER [--cpus 1] [--resources '{"fpga": 1}']     one more; prints its number
    cluster/several_nodes.py kill FOLDER NUMBER                    ends a node at once, as a power cut would
    cluster/several_nodes.py stop FOLDER                           ends what was started in FOLDER, and nothing else

Each node is a raylet of its own with its own ports, all on loopback, guarded by a token that is made for
the cluster. Node 0 is the head; it has no CPU, as heads of large clusters should, and runs the job server
where `ray[default]` is installed. Runs with the Python that has retraining (`.venv/bin/python`).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: What every process of a cluster carries in its environment, with the folder as its value.
MARK = "RETRAINING_SEVERAL_NODES"
#: Bytes of each node's object store.
OBJECT_STORE_BYTES = 150_000_000
#: The command `ray`, whether or not it is on the path.
RAY = "import sys; from ray.scripts.scripts import main; sys.argv[0] = 'ray'; main()"
START_SECONDS = 120.0
STOP_SECONDS = 10.0


def start(folder: Path, nodes: int, cpus: int) -> None:
    """Starts a head and `nodes` nodes of `cpus` CPUs, and prints the environment of whoever uses them."""
    if (folder / "cluster.json").exists():
        sys.exit(f"{folder} holds a cluster already: stop it first")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    # paths of sockets end at 107 characters, whatever FOLDER is
    temporary = tempfile.mkdtemp(prefix="nodes-", dir="/tmp")
    gcs, dashboard = free_ports(2)
    token = secrets.token_hex(32)
    (folder / "token").touch(mode=0o600)
    (folder / "token").write_text(token)
    state = {"address": f"127.0.0.1:{gcs}", "dashboard": dashboard, "temporary": temporary, "nodes": []}
    (folder / "cluster.json").write_text(json.dumps(state))
    head = ["--head", f"--port={gcs}", f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1"]
    head += [
        f"--temp-dir={temporary}/r",
        "--include-dashboard=true" if has_job_server() else "--include-dashboard=false",
    ]
    try:
        launch(folder, head, cpus=0)
        for _ in range(nodes):
            launch(folder, [f"--address=127.0.0.1:{gcs}"], cpus=cpus)
    except BaseException:
        stop(folder)
        raise
    for name, value in variables(folder).items():
        print(f"export {name}={value}")


def launch(
    folder: Path, arguments: Sequence[str], cpus: int, resources: Mapping[str, float] | None = None
) -> int:
    """The number of a new node, once it has joined."""
    state = json.loads((folder / "cluster.json").read_text())
    number = len(state["nodes"])
    ports = free_ports(6)
    names = (
        "node-manager-port", "object-manager-port", "dashboard-agent-listen-port",
        "dashboard-agent-grpc-port", "runtime-env-agent-port", "metrics-export-port",
    )  # fmt: skip
    command = [sys.executable, "-c", RAY, "start", *arguments, "--block", "--node-ip-address=127.0.0.1"]
    command += [f"--{name}={port}" for name, port in zip(names, ports, strict=True)]
    command += [f"--num-cpus={cpus}", "--num-gpus=0", f"--object-store-memory={OBJECT_STORE_BYTES}"]
    command += [
        "--disable-usage-stats",
        f"--resources={json.dumps({f'node{number}': 1, **(resources or {})})}",
    ]
    log = (folder / f"node{number}.log").open("w")
    process = subprocess.Popen(
        command,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    state["nodes"].append(process.pid)
    (folder / "cluster.json").write_text(json.dumps(state))
    end = time.monotonic() + START_SECONDS
    while "Ray runtime started" not in (folder / f"node{number}.log").read_text():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"node {number} did not start:\n{(folder / f'node{number}.log').read_text()}")
        time.sleep(0.1)
    return number


def kill(folder: Path, number: int) -> None:
    """Ends a node and its workers by SIGKILL."""
    state = json.loads((folder / "cluster.json").read_text())
    root = state["nodes"][number]
    for pid in [root, *below(root)]:
        signal_to(pid, signal.SIGKILL)


def stop(folder: Path) -> None:
    """Ends every process that carries this cluster's mark, and removes their files."""
    ours = marked(folder)
    for pid in ours:
        signal_to(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while marked(folder) and time.monotonic() < end:
        time.sleep(0.1)
    for pid in marked(folder):
        signal_to(pid, signal.SIGKILL)
    state = folder / "cluster.json"
    if state.exists():
        shutil.rmtree(json.loads(state.read_text())["temporary"], ignore_errors=True)
        state.unlink()
    (folder / "token").unlink(missing_ok=True)


def variables(folder: Path) -> dict[str, str]:
    """What a command needs in its environment to use the cluster."""
    state = json.loads((folder / "cluster.json").read_text())
    return {
        "RAY_ADDRESS": state["address"],
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{state['dashboard']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RETRAINING_NODES": str(folder),
    }


def environment(folder: Path) -> dict[str, str]:
    """The environment of a node: a lost node is noticed in seconds, and `retrain` is found by jobs."""
    own: Mapping[str, str] = {
        MARK: str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "2000",
        "RAY_health_check_failure_threshold": "3",
    }
    return {**{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}, **own}


def has_job_server() -> bool:
    """Whether `ray[default]` is installed."""
    try:
        import aiohttp_cors  # noqa: F401
    except ImportError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """So many ports of loopback that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def marked(folder: Path) -> list[int]:
    """The processes that were started for this cluster, and those that they started."""
    psutil = psutil_of_ray()
    found = []
    for process in psutil.process_iter():
        try:
            if is_marked(process, folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return [pid for pid in found if pid != os.getpid()]


def is_marked(process: Any, folder: Path) -> bool:
    """Whether a process has the mark in its environment."""
    place = Path("/proc") / str(process.pid) / "environ"
    if not place.exists():
        return bool(process.environ().get(MARK) == str(folder))
    # a process that gives itself a name writes it over the first variables
    return f"{MARK}={folder}\0".encode() in place.read_bytes()


def below(pid: int) -> list[int]:
    """The processes below one."""
    psutil = psutil_of_ray()
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


def psutil_of_ray() -> Any:
    """Ray brings its own psutil, and makes it known when it is imported."""
    import ray  # noqa: F401
    import psutil  # isort: skip

    return psutil


def signal_to(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def main() -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("start", "add", "kill", "stop"):
        one = verbs.add_parser(verb)
        one.add_argument("folder", type=Path)
        if verb in ("start", "add"):
            one.add_argument("--cpus", type=int, default=1)
        if verb == "add":
            one.add_argument("--resources", default="{}")
        if verb == "start":
            one.add_argument("--nodes", type=int, default=2)
        if verb == "kill":
            one.add_argument("number", type=int)
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    if asked.verb == "start":
        start(folder, asked.nodes, asked.cpus)
    elif asked.verb == "stop":
        stop(folder)
    else:
        if not (folder / "cluster.json").exists():
            sys.exit(f"{folder} holds no cluster")
        if asked.verb == "kill":
            kill(folder, asked.number)
        else:
            address = json.loads((folder / "cluster.json").read_text())["address"]
            print(launch(folder, [f"--address={address}"], asked.cpus, json.loads(asked.resources)))


if __name__ == "__main__":
    main()
