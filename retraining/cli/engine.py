"""Where and how the fits of a verb run, as its options say."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from retraining.cli.options import Decorated
    from retraining.operations.run import RunOptions

__all__ = ["Engine", "with_engine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What `--backend`, `--address`, `--workers`, `--wait-for-nodes` (seconds) and `--allow…` say."""

    backend: Literal["ray", "serial"]
    address: str
    workers: int | None
    wait_for_nodes: float
    allow: tuple[str, ...]
    allow_joblib: bool

    def options(self) -> RunOptions:
        """The same for an operation."""
        from retraining.operations.run import RunOptions

        return RunOptions(
            backend=self.backend,
            address=self.address,
            workers=self.workers,
            wait_for_nodes=self.wait_for_nodes,
            allow=self.allow,
            allow_joblib=self.allow_joblib,
        )


def with_engine(command: Decorated) -> Decorated:
    """The command, given the values of those options as one `engine`; it stands below the options."""

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
        engine = Engine(**{field.name: values.pop(field.name) for field in fields(Engine)})
        return command(engine=engine, **values)

    return gathered
