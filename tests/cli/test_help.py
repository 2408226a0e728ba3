"""The help names what works, in the order of a first use, and costs nothing."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from retraining.cli.group import root
from retraining.cli.verb import Verb
from tests.cli.conftest import PROGRAM, ROOT, Type, environment

VERBS = {
    "init", "validate", "schema", "plan", "run", "submit", "tick", "serve", "feedback", "predict", "export",
    "promote", "rollback", "pin", "unpin",
    "status", "releases", "diff", "explain", "drift", "backtest", "audit", "report", "ls", "graph",
    "verify", "gc",
}  # fmt: skip


def test_the_help_names_the_verbs_that_work_and_no_other(type_: Type) -> None:
    answer = type_("--help")
    assert answer.code == 0
    named = {line.split()[0] for line in answer.out.splitlines() if line.startswith("  ") and line.split()}
    assert named >= VERBS
    assert "130 interrupted" in answer.out


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_and_every_option_says_what_it_does(verb: str, type_: Type) -> None:
    answer = type_(verb, "--help")
    assert answer.code == 0
    command = root.get_command(None, verb)  # type: ignore[arg-type]
    assert command is not None
    for option in command.params:
        if option.param_type_name == "option":
            assert getattr(option, "help", None), f"{verb} {option.name}"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_ends_its_help_with_examples_that_it_understands(verb: str, type_: Type) -> None:
    command = root.get_command(None, verb)  # type: ignore[arg-type]
    assert isinstance(command, Verb)
    assert command.examples
    for example in command.examples:
        assert f"\n  {example}\n" in type_(verb, "--help").out
        program, named, *arguments = shlex.split(example.partition(" > ")[0])
        assert (program, named) == ("retrain", verb)
        command.make_context(verb, arguments)


def test_a_shell_that_asks_is_told_how_to_complete_verbs_and_options() -> None:
    asked = {"_RETRAIN_COMPLETE": "bash_complete", "COMP_WORDS": "retrain pl", "COMP_CWORD": "1"}
    done = subprocess.run(PROGRAM, env=environment(asked), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "plain,plan\n"), done.stderr


def test_without_a_verb_the_help_is_shown_as_for_wrong_input(type_: Type) -> None:
    answer = type_()
    assert (answer.code, answer.out) == (2, "")
    assert "retrain VERB" in answer.err


def test_the_nearest_verb_and_the_nearest_option_are_named(type_: Type) -> None:
    assert "did you mean `run`?" in type_("rnu").err
    answer = type_("run", "--fource", "a")
    assert answer.code == 2
    assert "--force" in answer.err


def test_the_version_is_one_line(type_: Type) -> None:
    answer = type_("--version")
    assert answer.code == 0
    assert answer.out.startswith("retrain ")
    assert answer.out.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["plan"], ["status"], ["run", "--backend", "ray"]])
def test_looking_and_a_run_with_nothing_to_do_load_nothing_heavy(
    arguments: list[str], in_released: Path
) -> None:
    code = (
        "import sys\n"
        "from retraining.cli.entry import run_command\n"
        f"code = run_command({arguments!r})\n"
        "heavy = {'ray', 'sklearn', 'pandas', 'scipy', 'xgboost', 'skops'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=in_released,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_reading_the_data_anew_loads_no_pandas(in_released: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from retraining.cli.entry import run_command\n"
        f"code = run_command(['plan', '--store', {str(tmp_path / 'none')!r}])\n"
        "heavy = {'ray', 'sklearn', 'pandas', 'scipy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=in_released,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_every_verb_has_a_file_of_its_own() -> None:
    for verb in VERBS:
        assert (ROOT / "retraining" / "cli" / f"{verb}.py").is_file()
