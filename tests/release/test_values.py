from __future__ import annotations

import json

import pytest

from retraining.release import fields
from retraining.release.values import BlobPointer, Parts

POINTER = BlobPointer(
    pack="packs/r/1-1", role="model", format="f", digest="sha256:1", offset=0, stored=1, raw=1, codec="none"
)
PARTS = Parts(recipe="r", data="d", upstream={"x": "1"}, environment="e")


def test_pointers_and_parts_come_back_from_json():
    assert BlobPointer.from_json(json.loads(json.dumps(POINTER.to_json()))) == POINTER
    assert Parts.from_json(json.loads(json.dumps(PARTS.to_json()))) == PARTS


@pytest.mark.parametrize("name", ["pack", "role", "format", "digest", "offset", "stored", "raw", "codec"])
@pytest.mark.parametrize("value", [None, True, -1, 1.5, [], {}])
def test_a_pointer_with_a_wrong_field_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        BlobPointer.from_json({**POINTER.to_json(), name: value})


@pytest.mark.parametrize("name", ["recipe", "data", "upstream", "environment"])
def test_parts_without_a_field_are_refused_by_name(name):
    document = PARTS.to_json()
    del document[name]
    with pytest.raises(ValueError, match=name):
        Parts.from_json(document)


def test_an_unknown_codec_is_refused():
    with pytest.raises(ValueError, match="'zstd' or 'none', not 'lz4'"):
        BlobPointer.from_json({**POINTER.to_json(), "codec": "lz4"})


def test_fields_are_read_by_their_type():
    document: dict = {"t": "x", "i": 3, "f": 0.5, "m": {"a": "b"}, "s": [{"a": 1}], "n": None}
    assert fields.text(document, "t") == "x"
    assert fields.integer(document, "i") == 3
    assert fields.optional_integer(document, "none") is None
    assert (fields.number(document, "f"), fields.number(document, "i")) == (0.5, 3.0)
    assert fields.texts(document, "m") == {"a": "b"}
    assert fields.sequence(document, "s") == [{"a": 1}]
    for read in (fields.text, fields.integer, fields.number, fields.mapping, fields.texts, fields.sequence):
        with pytest.raises(ValueError, match="'n'"):
            read(document, "n")
    with pytest.raises(ValueError, match="list of objects"):
        fields.sequence({"s": [1]}, "s")
