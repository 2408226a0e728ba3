"""A verb of the command line: a click command whose help ends with examples, as they are typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

__all__ = ["Verb"]


class Verb(click.Command):
    """A command with `examples`, which the help shows below the options, one a line and never wrapped."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
