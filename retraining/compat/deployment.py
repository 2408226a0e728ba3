"""A trained model -> one pickle file, replaced as a whole.

Invariant: a reader of the path sees the old model or the new one, never a part, and after any failure
the old one as it was: the new file is written and synchronised beside it, then renamed over it.
"""

from __future__ import annotations

import os
import pickle
import secrets
import stat
from pathlib import Path

from retraining.errors import InputError

__all__ = ["ModelDeployment"]


class ModelDeployment:
    """Puts models where they are used; replace it by a class with the same method to deploy elsewhere."""

    @staticmethod
    def deploy_model(model: object, deployment_path: str | os.PathLike[str]) -> Path:
        """The file that now holds the model, for `joblib.load` and `pickle.load`.

        Missing folders are made; a link keeps pointing where it points, and its target is replaced.
        Raises InputError for a path that cannot be a file, and for a model that cannot be pickled.
        """
        path = _target(deployment_path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, model)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror or error}") from error
        return path


def _target(given: object) -> Path:
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise InputError(f"the deployment path is {given!r}, expected a file's path such as models/model.pkl")
    text = os.fspath(given)
    if "://" in text:
        raise InputError(
            f"the deployment path {text} is a URL, expected a file's path",
            "deploy to a file; for object storage use a manifest, see docs/modelretrainer.md",
        )
    path = Path(os.path.realpath(os.path.expanduser(text)))
    if path.is_dir() or text.endswith("/"):
        raise InputError(
            f"the deployment path {text} is a folder, expected a file's path", "add a file name: model.pkl"
        )
    if path.exists() and not path.is_file():
        raise InputError(f"the deployment path {text} exists and is no plain file")
    return path


def _replace(path: Path, model: object) -> None:
    temporary = path.with_name(f".deploying-{secrets.token_hex(8)}")
    # 0o666 leaves the mode to the user's umask, as open() does.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _dump(model, stream)
            stream.flush()
            os.fsync(stream.fileno())
        if path.exists():
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _dump(model: object, stream: object) -> None:
    try:
        pickle.dump(model, stream, protocol=5)  # type: ignore[arg-type]
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            f"the model ({type(model).__name__}) cannot be pickled: {error}",
            "define its class at the top of a module, without lambdas or open files inside",
        ) from error
