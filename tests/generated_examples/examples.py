"""The generated examples as a user has them: their folder copied, their data prepared, smaller than by default."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


def load_prepare(name: str) -> ModuleType:
    """The example's prepare.py as a module."""
    spec = importlib.util.spec_from_file_location(f"prepare_{name}", MANIFESTS / name / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def example(name: str, folder: Path, arguments: Sequence[str]) -> Path:
    """The manifest of a copy of an example whose data were generated with these arguments."""
    shutil.copy(MANIFESTS / name / f"{name}.yaml", folder)
    assert load_prepare(name).main([*arguments, "--out", str(folder / "data")]) == 0
    return folder / f"{name}.yaml"
