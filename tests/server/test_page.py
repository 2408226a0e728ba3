"""The page of a server: what it answers, and to whom."""

from __future__ import annotations

import datetime as dt
import http.client
import json

import pytest

from retraining.errors import InputError, StoreError
from retraining.server.board import Board, Status
from retraining.server.page import Page, parse_listen
from tests.cli.test_json import told

NOW = dt.datetime(2024, 5, 13, 3, tzinfo=dt.UTC)


@pytest.fixture
def board():
    return Board(Status(manifest="<shop>", store="s", every_seconds=60, started="2024-05-13T02:00:00Z"))


@pytest.fixture
def ask(board):
    def report():
        if board.read().runs == 0:
            raise StoreError("the store has no run yet", "x")
        return "<html>the report</html>"

    with Page(board, report, ("127.0.0.1", 0), exposed=False, clock=lambda: NOW) as page:
        port = int(page.url.rpartition(":")[2].strip("/"))

        def asked(path, method="GET", host=None):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request(method, path, headers={} if host is None else {"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers["Content-Type"]

        yield asked


def test_it_tells_the_status_and_the_report_of_the_newest_run(ask, board):
    status, body, kind = ask("/status.json")
    assert (status, json.loads(body), kind) == (
        200,
        board.read().to_json(),
        "application/json; charset=utf-8",
    )
    _, body, kind = ask("/")
    assert "the store has no run yet" in body
    assert "&lt;shop&gt;" in body
    board.change(runs=1)
    assert ask("/?x=1") == (200, "<html>the report</html>", "text/html; charset=utf-8")
    assert ask("/", method="HEAD")[:2] == (200, "")


def test_the_guide_of_documents_names_every_field_of_the_status(board):
    assert {"format", *told()["serve"]} == board.read().to_json().keys()


def test_it_is_well_while_its_loop_turns(ask, board):
    assert ask("/healthz")[:2] == (200, "ok\n")
    board.change(failing=2, error="the store is away")
    assert ask("/healthz")[:2] == (200, "failing since 2 ticks: the store is away\n")
    board.change(failing=0, next="2024-05-13T02:54:00Z")
    assert ask("/healthz")[0] == 503
    board.change(acting_since="2024-05-13T02:54:00Z")
    assert ask("/healthz")[0] == 200


def test_it_answers_to_names_of_this_machine_alone_and_to_nothing_else(ask):
    for host in ("localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80"):
        assert ask("/healthz", host=host)[0] == 200, host
    for host in ("example.com", "localhost.example.com:80", "192.168.0.1", ""):
        assert ask("/status.json", host=host)[0] == 421, host
    assert ask("/../etc/passwd")[0] == 404
    assert ask("/", method="POST")[0] == 501


def test_an_address_that_other_machines_reach_has_to_be_meant():
    assert parse_listen("127.0.0.1:0", exposed=False) == ("127.0.0.1", 0)
    assert parse_listen("[::1]:80", exposed=False) == ("::1", 80)
    assert parse_listen("0.0.0.0:80", exposed=True) == ("0.0.0.0", 80)
    for text in ("0.0.0.0:80", "192.168.0.1:80", "[::]:80", "example.com:80"):
        with pytest.raises(InputError, match="other machines could reach it"):
            parse_listen(text, exposed=False)
    for text in ("80", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ":80"):
        with pytest.raises(InputError, match="no HOST:PORT"):
            parse_listen(text, exposed=True)


def test_a_port_that_is_taken_is_said(board):
    with (
        Page(board, str, ("127.0.0.1", 0), exposed=False, clock=lambda: NOW) as page,
        pytest.raises(InputError, match="in use"),
    ):
        Page(
            board,
            str,
            ("127.0.0.1", int(page.url.rpartition(":")[2].strip("/"))),
            exposed=False,
            clock=lambda: NOW,
        )
