"""Bytes -> tree: what cannot be read is refused where it stands, and nothing costs more than its size."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.manifest import document
from retraining.manifest.document import MAX_BYTES, read_document
from retraining.manifest.nodes import describe, plain, resolve_scalar
from retraining.manifest.problems import Problems


def read(data):
    problems = Problems("m.yaml")
    node = read_document(data if isinstance(data, bytes) else data.encode(), problems)
    return node, problems.in_order()


def refused(data):
    _, problems = read(data)
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("yes", "yes"), ("no", "no"), ("on", "on"), ("Off", "Off"),
        ("null", None), ("~", None), ("", None), ("Null", None), ("nil", "nil"),
        ("010", 10), ("0o10", 8), ("0x1F", 31), ("-7", -7), ("+7", 7), ("1_000", "1_000"), ("0b1", "0b1"),
        ("12:30", "12:30"), ("12:30:45", "12:30:45"), ("2024-01-01", "2024-01-01"),
        ("1e3", 1000.0), (".5", 0.5), ("1.", 1.0), ("9E1", 90.0), ("9E", "9E"), ("-.INF", float("-inf")),
        ("1.2.3", "1.2.3"), ("-", "-"), (".", "."), ("٣", "٣"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema_of_yaml_1_2(text, value):
    resolved = resolve_scalar(text)
    assert resolved == value
    assert type(resolved) is type(value)


def test_the_written_text_stays_beside_the_value():
    node, _ = read("[007, 1.50, 'x', NO, 9E1, ~]")
    assert [item.text for item in node.items] == ["007", "1.50", "x", "NO", "9E1", "~"]
    assert plain(node) == [7, 1.5, "x", "NO", 90.0, None]


def test_quoted_scalars_are_texts():
    assert plain(read("""["1", 'true', "", "~"]""")[0]) == ["1", "true", "", "~"]
    assert plain(read("a: |-\n  3\nb: >-\n  null\n")[0]) == {"a": "3", "b": "null"}


@pytest.mark.parametrize("digits", [31, 5000])
def test_a_number_of_thousands_of_digits_is_read_without_harm(digits):
    node, problems = read("a: " + "9" * digits)
    assert not problems
    assert describe(node.entries[0].node).startswith("the number 999")


@pytest.mark.parametrize(
    ("data", "line", "column", "message"),
    [
        (b"", 1, 1, "empty"),
        (b"# nothing\n", 1, 1, "empty"),
        (b"a: \xff", 1, 4, "byte 3 (0xff) is not UTF-8"),
        (b"\xef\xbb\xbfa: b\nc: \xe9", 2, 4, "byte 11 (0xe9)"),
        ("a: b".encode("utf-16"), 1, 1, "UTF-16"),
        (b"a: b\nc: \x00d", 2, 4, "U+0000"),
        (b"a: \x1b[31m", 1, 4, "U+001B"),
        ("a: b\u2028c".encode(), 1, 5, "U+2028"),
        (b'a: "\\0"', 1, 4, "control character"),
        (b"a: b\n---\nc: d", 2, 1, "second document"),
        (b"a: *b", 1, 4, "not named `&b` before"),
        (b"a: &a [1, *a]", 1, 11, "inside the value"),
        (b"a: [1\nb: 2", 2, 2, "not YAML"),
        (b"a: b: c", 1, 5, "not YAML"),
        (b"\ta: b", 1, 1, "not YAML"),
        (b"%YAML 9.0\n---\na: b", 1, 1, "not YAML"),
        (b"a: !!python/object:os.system {}", 1, 4, "tags are not allowed"),
        (b"a: 1\nb:\n  c: 1\n  c: 2", 4, 3, "already at line 3, column 3"),
        (b"a: {[x]: 1}", 1, 5, "a key is a text; found a list"),
        (b"a: {? {x: y} : 1}", 1, 7, "a key is a text; found a mapping"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(data, line, column, message):
    problem = refused(data)
    assert (problem.line, problem.column) == (line, column)
    assert message in problem.message
    assert problem.next_step


def test_tabs_are_named_as_the_cause():
    assert "spaces" in refused("a:\n\tb: c").next_step


def test_a_byte_order_mark_and_windows_line_ends_are_fine():
    node, problems = read(b"\xef\xbb\xbfa: b\r\nc:\r\n  - d\r\n")
    assert not problems
    assert plain(node) == {"a": "b", "c": ["d"]}
    assert (node.entries[1].key.line, node.entries[1].key.column) == (2, 1)


@pytest.mark.parametrize("unit", [b"[", b"{a: ", b"- ", b"? ", b"[[", b"{x: ["])
def test_depth_is_bounded_before_it_costs_anything(unit):
    assert "deeper than 40" in refused(unit * 100_000).message


def test_forty_levels_are_read():
    assert read("[" * 40 + "]" * 40)[1] == []
    assert "deeper than 40" in refused("[" * 41 + "]" * 41).message


def test_depth_counts_through_aliases():
    levels = ["a0: &a0 []", *(f"a{i}: &a{i} [[[[*a{i - 1}]]]]" for i in range(1, 12))]
    assert "aliases nest deeper" in refused("\n".join(levels)).message


def test_an_alias_bomb_is_refused():
    bomb = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    bomb += [f"{c}: &{c} [{','.join([f'*{p}'] * 9)}]" for p, c in zip("abcdefgh", "bcdefghi", strict=True)]
    assert "more than 100,000 values" in refused("\n".join(bomb)).message


def test_aliases_repeat_values():
    repeated = {"a": {"k": [1]}, "b": {"k": [1]}, "c": [{"k": [1]}]}
    assert plain(read("a: &x {k: [1]}\nb: *x\nc: [*x]")[0]) == repeated


def test_size_is_bounded(monkeypatch):
    assert f"more than {MAX_BYTES:,} bytes" in refused(b"a" * (MAX_BYTES + 1)).message
    assert document.MAX_ENTRIES == 500_000
    monkeypatch.setattr(document, "MAX_ENTRIES", 1000)
    assert read(b"[" + b"a," * 998 + b"a]")[1] == []
    assert "more than 1,000 values" in refused(b"[" + b"a," * 1000 + b"a]").message


def test_reading_goes_on_after_what_can_be_passed_over():
    node, problems = read("a: !x 1\na: 2\n3: 4\n<<: {}\nb: ! [5]")
    assert plain(node) == {"a": 1, "b": [5]}
    assert [p.line for p in problems] == [1, 2, 3, 4, 5]


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(string.printable[:95], max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(string.ascii_letters), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(TREES)
def test_json_is_read_as_json_reads_it(tree):
    node, problems = read(json.dumps(tree))
    assert not problems
    assert plain(node) == json.loads(json.dumps(tree))


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_a_tree_or_problems(data):
    node, problems = read(data)
    assert node is not None or problems
