"""What a node of the cluster says of itself before it takes work.

The function travels to the node as code and not by its name: it must run where this package is missing
or is another version. So it imports nothing of the package before it knows that it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["code_digest", "visit"]


def code_digest(root: str) -> str:
    """The digest of a package's Python files: what runs, whatever version it calls itself."""
    import hashlib
    from pathlib import Path

    digest = hashlib.sha256()
    for path in sorted(Path(root).rglob("*.py")):
        body = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\n{len(body)}\n".encode() + body)
    return digest.hexdigest()


def visit(
    version: str, code: str, libraries: Mapping[str, str], store: str, place: str, word: bytes
) -> tuple[str, str]:
    """What is wrong with the node it runs on, and with what (`program`, `libraries` or `store`); else two empty texts.

    `version`, `code` and `libraries` are what the driver runs. In the store the driver has written `word`
    at `place`/driver; the node must find it there, and writes it at `place`/NODE_ID for the driver to find.
    """
    import os
    import sys

    where = f"its Python is {sys.executable}"
    try:
        import retraining
    except ImportError as error:
        return f"it has no retraining ({error}; {where})", "program"
    theirs = getattr(retraining, "__version__", "unknown")
    if theirs != version:
        return f"it has retraining {theirs} and this run is of {version} ({where})", "program"
    if code_digest(os.path.dirname(os.path.abspath(retraining.__file__))) != code:
        return f"its retraining calls itself {theirs} too, but is other code ({where})", "program"
    try:
        import ray

        from retraining.learn.environment import library_versions
        from retraining.store.objects import open_objects
    except ImportError as error:
        return f"its retraining cannot be imported ({error}; {where})", "program"
    found = library_versions()
    other = [
        f"{name} {found.get(name, 'none')} (here {libraries.get(name, 'none')})"
        for name in sorted({*found, *libraries})
        if found.get(name) != libraries.get(name)
    ]
    if other:
        return f"it has other versions: {', '.join(other)}", "libraries"
    try:
        objects = open_objects(store)
        same = objects.get(f"{place}/driver") == word
        objects.put(f"{place}/{ray.get_runtime_context().get_node_id()}", word)
    except Exception as error:  # noqa: BLE001 - whatever a store's client raises there
        reason = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
        return f"it cannot use the store: {reason}", "store"
    return ("", "") if same else ("its store is another one than this run's", "store")
