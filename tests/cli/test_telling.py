"""What a pipeline asks of a run: a red light for some outcomes, and to be told how it ended."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.chain import UP, change, improve_up, run
from tests.cli.conftest import Type
from tests.cli.test_json import told

QUICK = ("run", "--backend", "serial", "--no-progress")


@contextmanager
def listening(status: int) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A server on loopback that answers every POST with a status and keeps the documents."""
    found: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook/secret", found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def keeper(file: str) -> str:
    """A command that keeps its standard input in a file and prints a word."""
    Path("keep.py").write_text(
        "import sys; open(sys.argv[1], 'w').write(sys.stdin.read()); print('kept it')\n"
    )
    return f"{sys.executable} keep.py '{file}'"


def test_a_command_gets_the_document_on_its_standard_input(chain: Path, type_: Type) -> None:
    improve_up()
    answer = type_(*QUICK, "--format", "json", "--on-outcome", keeper("told; rm -rf x.json"))
    assert answer.code == 0
    kept = json.loads(Path("told; rm -rf x.json").read_text())
    assert kept == answer.document
    assert kept["counts"] == {"promoted": 2}
    assert set(kept) - {"format"} == told()["run"]
    assert "kept it" in answer.err


def test_a_url_gets_a_post_also_when_there_was_nothing_to_do(chain: Path, type_: Type) -> None:
    with listening(200) as (url, found):
        assert type_(*QUICK, "--on-outcome", url).code == 0
    assert [document["counts"] for document in found] == [{"kept": 2}]


def test_an_error_that_ends_the_run_is_told_too(chain: Path, type_: Type) -> None:
    Path("rows.csv").unlink()
    assert type_(*QUICK, "--on-outcome", keeper("told.json")).code == 2
    assert json.loads(Path("told.json").read_text())["error"]["exit_code"] == 2


@pytest.mark.parametrize(
    ("target", "warning"),
    [
        ("no-such-command-at-all", "could not be started"),
        ("false", "ended with exit code 1"),
        ("http://127.0.0.1:9/hook/secret", "127.0.0.1 could not be told"),
    ],
)
def test_that_nobody_could_be_told_changes_nothing(
    target: str, warning: str, chain: Path, type_: Type
) -> None:
    answer = type_(*QUICK, "--on-outcome", target)
    assert answer.code == 0
    assert warning in answer.err
    assert "secret" not in answer.err


def test_a_server_that_refuses_is_a_warning_without_the_path_of_its_url(chain: Path, type_: Type) -> None:
    with listening(503) as (url, _):
        answer = type_(*QUICK, "--on-outcome", url)
    assert (answer.code, "answered 503" in answer.err, "secret" in answer.err) == (0, True, False)


def test_what_cannot_be_a_command_or_a_url_is_refused_before_the_run(chain: Path, type_: Type) -> None:
    for target in ("'unbalanced", " ", "https://"):
        assert type_(*QUICK, "--on-outcome", target).code == 2


def test_fail_on_is_a_red_light_for_what_became_of_nodes_in_this_run(chain: Path, type_: Type) -> None:
    change(UP, UP.replace("features", "gate: {approve: manual}\n    features").replace("noise", "x"))
    answer = type_(*QUICK, "--format", "json", "--fail-on", "rejected,pending")
    assert (answer.code, answer.document["exit_code"]) == (1, 1)
    assert answer.document["counts"] == {"pending": 2}
    assert type_(*QUICK, "--fail-on", "pending").code == 0
    refused = type_(*QUICK, "--fail-on", "promoted")
    assert (refused.code, "rejected, insufficient, waiting, pending, blocked" in refused.err) == (2, True)


def test_prune_forgets_what_left_the_manifest_and_is_read_by_nothing(chain: Path, type_: Type) -> None:
    text = Path("chain.yaml").read_text()
    Path("chain.yaml").write_text(text[: text.index("  down:")])
    assert run(type_) == {"up": "kept"}
    assert "down" in type_("status").out
    answer = type_(*QUICK, "--prune", "--format", "json").document
    assert (answer["pruned"], answer["release"]) == (["down"], {"before": 1, "after": 2})
    assert [node["node"] for node in type_("status", "--format", "json").document["nodes"]] == ["up"]
    newest = type_("releases", "--format", "json").document["releases"][0]
    assert (newest["pruned"], newest["nodes"]) == (1, ["down"])
    assert "1 pruned" in type_("releases").out
    assert type_("diff", "--format", "json").document["counts"]["removed"] == 1
    again = type_(*QUICK, "--prune", "--format", "json").document
    assert (again["pruned"], again["release"]) == ([], {"before": 2, "after": 2})
    assert type_("rollback", "1").code == 0
    assert type_("predict", "down", "--data", "rows.csv", "-o", "out.csv").code == 0


def test_prune_leaves_what_is_pinned_and_what_it_reads(chain: Path, type_: Type) -> None:
    assert type_("pin", "down", "--because", "still sold").code == 0
    for old, new in (("  up:", "  other:"), ("{up: {}}", "{other: {}}"), ("  down:", "  below:")):
        change(old, new)
    answer = type_(*QUICK, "--prune")
    assert answer.code == 0
    assert "not pruned: down, since it is pinned" in answer.out
    assert "not pruned: up, since down reads it" in answer.out
    assert type_("predict", "down", "--data", "rows.csv", "-o", "out.csv").code == 0
