"""The verbs: their order in the help, and the modules that are imported when one is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from importlib import import_module

import click

__all__ = ["Verbs", "root"]

_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Begin": ("init", "validate", "schema"),
    "Decide and do": ("plan", "run", "submit", "tick", "serve", "feedback", "predict", "export"),
    "Overrule": ("promote", "rollback", "pin", "unpin"),
    "Look": (
        "status",
        "releases",
        "diff",
        "explain",
        "drift",
        "backtest",
        "audit",
        "report",
        "ls",
        "graph",
    ),
    "Keep house": ("verify", "gc"),
}


#: What other tools, and people, call a verb.
_OTHER_WORDS: Mapping[str, str] = {
    "apply": "run",
    "approve": "promote",
    "build": "run",
    "check": "validate",
    "clean": "gc",
    "compare": "diff",
    "create": "init",
    "dag": "graph",
    "execute": "run",
    "fit": "run",
    "freeze": "pin",
    "history": "releases",
    "lint": "validate",
    "list": "ls",
    "log": "releases",
    "new": "init",
    "override": "promote",
    "preview": "plan",
    "release": "promote",
    "retrain": "run",
    "revert": "rollback",
    "replay": "backtest",
    "score": "predict",
    "simulate": "backtest",
    "show": "explain",
    "sign": "verify",
    "start": "run",
    "train": "run",
    "unfreeze": "unpin",
    "undo": "rollback",
    "why": "explain",
}


class Verbs(click.Group):
    """A group that imports a verb's module when the verb is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of a first use."""
        del ctx
        return [verb for verbs in _SECTIONS.values() for verb in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of this name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"retraining.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that the arguments begin with; the nearest is named where there is none."""
        name = args[0]
        if name.startswith("-") or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        meant = [_OTHER_WORDS[name]] if name in _OTHER_WORDS else []
        near = meant or difflib.get_close_matches(name, self.list_commands(ctx), n=1)
        hint = f"did you mean `{near[0]}`?" if near else "`retrain --help` lists the verbs"
        raise click.UsageError(f"there is no verb {name!r}: {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs in sections."""
        width = max(map(len, self.list_commands(ctx)))
        for title, verbs in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.ljust(width), self._about(ctx, verb)) for verb in verbs])

    def _about(self, ctx: click.Context, verb: str) -> str:
        command = self.get_command(ctx, verb)
        assert command is not None
        return command.get_short_help_str(limit=100)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"retrain {_version()}")
        ctx.exit()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("retraining")
    except PackageNotFoundError:  # a source tree on the path
        return "(not installed)"


_EPILOG = (
    "MANIFEST may be left out where the current folder holds exactly one. Exit codes: 0 all handled, "
    "1 a node failed, 2 the input is wrong, 3 the store or the cluster cannot be used, 4 release conflict, "
    "5 it is unknown whether the release landed, 130 interrupted."
)
_SETTINGS: Mapping[str, Sequence[str] | int] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}


@click.group(
    cls=Verbs,
    epilog=_EPILOG,
    context_settings=dict(_SETTINGS),
    invoke_without_command=True,
    options_metavar="",
    subcommand_metavar="VERB [MANIFEST] [OPTIONS]...",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def root(ctx: click.Context) -> int:
    """Decide, retrain, judge and release graphs of dependent machine-learning models."""
    if ctx.invoked_subcommand is not None:
        return 0
    click.echo(ctx.get_help(), err=True)
    return 2
