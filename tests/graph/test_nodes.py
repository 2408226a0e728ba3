from __future__ import annotations

import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from retraining.errors import SelectionError
from retraining.graph.nodes import is_pool, node_name, parse_node_name, pool_name

models = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,10}", fullmatch=True)
awkward = st.text(alphabet=st.sampled_from(" ,[]=\"'\\*?\n\t\u2028é9+@:"), max_size=6)
pairs = st.lists(st.tuples(st.text(max_size=8) | awkward, st.text(max_size=8) | awkward), max_size=3)


@pytest.mark.parametrize(
    ("columns", "values", "name"),
    [
        ([], [], "m"),
        (["carrier"], ["UA"], "m[carrier=UA]"),
        (["a", "b"], ["1", "x"], "m[a=1,b=x]"),
        (["a"], [""], 'm[a=""]'),
        (["a"], ["New York"], 'm[a="New York"]'),
        (["a"], ["*"], 'm[a="*"]'),
        (["a"], ["x\ny"], 'm[a="x\\ny"]'),
        (["a"], ["Zürich"], "m[a=Zürich]"),
        (["the carrier"], ["UA"], 'm["the carrier"=UA]'),
    ],
)
def test_values_are_quoted_only_where_they_must_be(columns: list[str], values: list[str], name: str) -> None:
    assert name == node_name("m", columns, values)


@given(models, pairs)
@settings(derandomize=True, max_examples=examples(300))
def test_a_name_gives_back_what_it_was_made_of(model: str, values: list[tuple[str, str]]) -> None:
    name = node_name(model, [column for column, _ in values], [value for _, value in values])
    assert (model, tuple(values)) == parse_node_name(name)
    assert name.isprintable()


def test_a_pool_is_no_partition_whatever_values_hold() -> None:
    assert pool_name("m") == node_name("m", ["a"], []) == "m[*]"
    assert parse_node_name("m[*]") == ("m", ())
    others = [node_name("m", ["a"], [value]) for value in ("*", "[*]", "m[*]", "")] + ["m", "[*]"]
    assert [name for name in ["m[*]", *others] if is_pool(name)] == ["m[*]"]


@given(models, pairs, pairs)
@settings(derandomize=True, max_examples=examples(200))
def test_different_partitions_have_different_names(
    model: str, one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    names = [
        node_name(model, [column for column, _ in each], [value for _, value in each])
        for each in (one, other)
    ]
    assert (one == other) == (names[0] == names[1])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", 0),
        ("[a=1]", 0),
        ("m[", 2),
        ("m[a", 3),
        ("m[a=", 4),
        ("m[a=1", 1),
        ("m[a=1]x", 6),
        ('m[a="x]', 4),
        ("m[a=1 2]", 5),
    ],
)
def test_a_name_that_cannot_be_read_has_a_caret_under_the_place(text: str, place: int) -> None:
    with pytest.raises(SelectionError) as error:
        parse_node_name(text)
    *_, shown, caret = error.value.message.splitlines()
    assert (f"    {text}", " " * (4 + place) + "^") == (shown, caret)


@given(st.text(alphabet=st.sampled_from('ma[]="\\ ,1u'), max_size=12))
@settings(derandomize=True, max_examples=examples(300))
def test_any_text_is_read_or_refused_with_a_selection_error(text: str) -> None:
    try:
        model, values = parse_node_name(text)
    except SelectionError:
        return
    assert parse_node_name(node_name(model, [c for c, _ in values], [v for _, v in values])) == (
        model,
        values,
    )
