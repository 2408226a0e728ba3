"""Imports run one way, pure rooms stay pure, and files stay small: docs/architecture.md, held by a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "retraining"

# Each room with the rooms that it may import, besides itself, errors and everything below.
BELOW = ["manifest", "graph", "release", "decide", "store"]
LAYERS: dict[str, set[str]] = {room: set(BELOW[:level]) for level, room in enumerate(BELOW)}
LAYERS["data"] = LAYERS["learn"] = set(BELOW)
LAYERS["execution"] = LAYERS["prediction"] = {*BELOW, "data", "learn"}
LAYERS["prediction"] = LAYERS["prediction"] | {"execution"}
LAYERS["reporting"] = {*BELOW, "data", "learn"}
LAYERS["operations"] = {*BELOW, "data", "learn", "execution", "prediction", "reporting"}
LAYERS["compat"] = {*LAYERS["operations"], "operations"}
LAYERS["server"] = {*LAYERS["operations"], "operations"}
LAYERS["cli"] = {*LAYERS["operations"], "operations", "compat", "server"}

PURE = {"manifest", "graph", "release", "decide", "reporting"}
HEAVY = {"ray", "sklearn", "pandas", "scipy", "xgboost", "skops"}
# The catalogue asks the installed libraries once for each pair of versions, inside functions, and caches.
CATALOGUE = ROOT / "manifest" / "installed.py"
MOST_LINES = 450


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if "compat/top" not in path.as_posix())


@cache
def imports(path: Path) -> tuple[tuple[str, int], ...]:
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module, node.lineno


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_imports_only_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    if room in ("__init__.py", "__main__.py"):
        return
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] != "retraining" or len(parts) == 1 or room == "errors.py":
            continue
        allowed = LAYERS[room] | {room, "errors"}
        assert parts[1] in allowed, f"{path}:{line}: {room} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pure_rooms_import_nothing_heavy(path: Path) -> None:
    if room_of(path) not in PURE or path == CATALOGUE:
        return
    for name, line in imports(path):
        assert name.split(".")[0] not in HEAVY, f"{path}:{line}: a pure room imports {name}"


def test_only_the_ray_backend_imports_ray() -> None:
    users = {path for path in modules() if any(name.split(".")[0] == "ray" for name, _ in imports(path))}
    assert {path.parent for path in users} == {ROOT / "execution" / "ray"}


def test_only_one_module_imports_obstore() -> None:
    users = {path for path in modules() if any(name.split(".")[0] == "obstore" for name, _ in imports(path))}
    assert users == {ROOT / "store" / "cloud" / "objects.py"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_says_what_it_holds(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


def test_no_file_is_crowded() -> None:
    crowded = {
        path: count for path in modules() if (count := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert crowded == {}
