"""Whatever happens to a manifest's bytes, the answer is a manifest or its problems in words."""

from __future__ import annotations

import random
from pathlib import Path

import jsonschema
import pytest

from retraining.errors import ManifestError
from retraining.manifest import json_schema, parse_manifest
from retraining.manifest.document import read_document
from retraining.manifest.nodes import plain
from retraining.manifest.problems import Problems

GOOD = sorted((Path(__file__).parent / "good").glob("*.yaml"))
DAMAGES = 3000

VALUES = [
    "", "~", "null", "true", "no", "[]", "{}", "[[]]", "{a: b}", "- x", "0", "-1", "1e999", ".nan", "-.inf",
    "9" * 400, "9" * 5000, "0x" + "f" * 300, "1" + "0" * 40, "2w", "0d", "999999w", "101%", "5%", "0.5", "'", '"',
    "|", ">", "*a", "&a", "&a [*a]", "!!int 3", "!x", "<<", "? a", "%", "@", "`", "\t", "[", "]", "{", "}", ":",
    "2024-01-01", "12:30", "\u00e9", "\U0001f600", "\u202e", "x" * 20_000, "{definition, upstream}", "time",
    "[" * 60, "{a: " * 50, "{<<: {}}", "{1: 2}", "{? [a] : b}", "RandomForest", "../../etc", "a.b", "{match: {}}",
    "\"\\0\"", "\"\\ud800\"", "NaN", "data", "{data: 3}", "[definition, definition]", "{any: [], at_least: 0}",
]  # fmt: skip
BYTES = [
    b"\x00",
    b"\xff",
    b"\xc3",
    b"\xef\xbb\xbf",
    b"\r",
    b"\x85",
    b"\xe2\x80\xa8",
    b"\xed\xa0\x80",
    b"\x1b[2J",
]
BOMB = "a: &a [x,x,x,x,x,x,x,x]\n" + "".join(
    f"{c}: &{c} [{','.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


def flip_bytes(text, rng):
    data = bytearray(text.encode())
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def insert_bytes(text, rng):
    data = text.encode()
    at = rng.randrange(len(data))
    return data[:at] + rng.choice(BYTES) + data[at:]


def delete_lines(text, rng):
    lines = text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    del lines[at : at + rng.randint(1, 3)]
    return "".join(lines)


def repeat_lines(text, rng):
    lines = text.splitlines(keepends=True)
    first = rng.randrange(len(lines))
    block = lines[first : first + rng.randint(1, 4)]
    at = rng.randrange(len(lines))
    return "".join([*lines[:at], *block, *lines[at:]])


def indent_line(text, rng):
    lines = text.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    lines[at] = rng.choice(["  ", " ", "\t", "      "]) + lines[at]
    return "".join(lines)


def swap_tokens(text, rng):
    tokens = text.split(" ")
    a, b = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    tokens[a], tokens[b] = tokens[b], tokens[a]
    return " ".join(tokens)


def replace_value(text, rng):
    lines = text.splitlines(keepends=True)
    at = rng.choice([i for i, line in enumerate(lines) if ": " in line] or [0])
    head = lines[at].split(": ", 1)[0]
    lines[at] = f"{head}: {rng.choice(VALUES)}\n"
    return "".join(lines)


def replace_inner_value(text, rng):
    at = rng.choice([i for i, c in enumerate(text) if c in ":,[{"] or [0]) + 1
    end = min((text.find(c, at) for c in ",]}\n" if text.find(c, at) > 0), default=len(text))
    return f"{text[:at]} {rng.choice(VALUES)}{text[end:]}"


def cut(text, rng):
    return text[: rng.randrange(1, len(text))]


def add_bomb(text, rng):
    return rng.choice([BOMB + text, text + BOMB, text.replace("name:", f"x: {'[' * 200}\nname:")])


def mix(text, rng):
    other = rng.choice(GOOD).read_text()
    return text[: rng.randrange(len(text))] + other[rng.randrange(len(other)) :]


KINDS = [
    flip_bytes, insert_bytes, delete_lines, repeat_lines, indent_line, swap_tokens, replace_value,
    replace_value, replace_inner_value, replace_inner_value, cut, add_bomb, mix,
]  # fmt: skip


def damaged(seed):
    rng = random.Random(seed)
    text = rng.choice(GOOD).read_text()
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if len(text) < 2:
            text = rng.choice(GOOD).read_text()
        result = rng.choice(KINDS)(text, rng)
        text = result if isinstance(result, str) else result.decode(errors="replace")
    return result if isinstance(result, bytes) else result.encode()


def answer(data, catalog):
    """The problems in words; None for a manifest."""
    try:
        parse_manifest(data, Path("damaged.yaml"), catalog)
    except ManifestError as error:
        return error.problems
    return None


@pytest.mark.parametrize("part", range(6))
def test_damage_gives_a_manifest_or_problems(part, catalog):
    refused = 0
    schema = jsonschema.Draft202012Validator(json_schema(catalog))
    for seed in range(part * DAMAGES // 6, (part + 1) * DAMAGES // 6):
        data = damaged(seed)
        problems = answer(data, catalog)
        if problems is None:
            assert schema.is_valid(plain(read_document(data, Problems("damaged.yaml")))), seed
            continue
        refused += 1
        assert problems, seed
        for problem in problems:
            assert problem.message.strip(), seed
            assert problem.next_step.strip(), (seed, problem)
            assert len(str(problem)) < 2500, (seed, problem)
            assert str(problem).replace("\n", "").isprintable(), (seed, problem)
    assert refused > DAMAGES // 6 // 3
