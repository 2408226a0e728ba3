"""Which Ray a run works on, by its address, as far as that can be said without Ray."""

from __future__ import annotations

from retraining.errors import InputError

__all__ = ["check_address"]


def check_address(address: str) -> str:
    """The address itself: `local`, `auto` or HOST:PORT; InputError, with the reason, for any other."""
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme == "ray":
        raise InputError(
            f"--address {address}: a Ray client is no part of the cluster; the run's data and results would "
            "pass through one connection, and the run would end with it",
            "send the run to the cluster with `retrain submit --address http://HEAD:8265`, or start it on one of "
            "the cluster's machines with --address auto",
        )
    if scheme in ("http", "https"):
        raise InputError(
            f"--address {address} is a cluster's job server, which `run` does not use",
            f"`retrain submit --address {address}` runs the manifest there as a job",
        )
    host, _, port = address.rpartition(":")
    if address in ("local", "auto") or (host and not scheme and port.isascii() and port.isdigit()):
        return address
    raise InputError(
        f"--address {address!r} is no address of a cluster",
        "write auto on a machine of the cluster, or HOST:PORT of its head, as in 10.0.0.1:6379; local is a Ray "
        "of the run's own",
    )
