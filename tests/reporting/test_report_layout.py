from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from retraining.reporting.layout import levels_of, place_boxes, spread

checked = settings(derandomize=True, max_examples=80, deadline=None)
GAP, WIDTH, BETWEEN = 16.0, 100.0, 40.0


@st.composite
def graphs(draw):
    """Names, and edges that run from earlier to later names."""
    size = draw(st.integers(1, 14))
    names = [f"m{place}" for place in range(size)]
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :]]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=30)) if pairs else []
    return names, edges


@checked
@given(graphs())
def test_a_level_is_the_longest_path_from_a_root(graph):
    names, edges = graph
    oracle = nx.DiGraph(edges)
    oracle.add_nodes_from(names)
    expected = {
        name: level for level, layer in enumerate(nx.topological_generations(oracle)) for name in layer
    }

    assert levels_of(names, edges) == expected


def test_a_cycle_in_a_broken_record_does_not_hang():
    assert levels_of(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "b")]).keys() == {"a", "b", "c"}


@checked
@given(st.lists(st.tuples(st.floats(-500, 500), st.floats(1, 80)), min_size=1, max_size=12))
def test_middles_are_the_nearest_that_keep_order_and_gaps(items):
    wanted, sizes = [want for want, _ in items], [size for _, size in items]
    steps = [(a + b) / 2 + GAP for a, b in pairwise(sizes)]
    offsets = np.concatenate([[0.0], np.cumsum(steps)])
    oracle = IsotonicRegression().fit_transform(np.arange(len(items)), np.array(wanted) - offsets) + offsets

    assert spread(wanted, sizes) == pytest.approx(oracle.tolist(), abs=1e-6)


@checked
@given(graphs(), st.integers(0, 5))
def test_boxes_do_not_overlap_and_edges_end_on_their_sides(graph, salt):
    names, edges = graph
    heights = {name: 20.0 + (place * 37 + salt * 11) % 60 for place, name in enumerate(names)}
    levels = levels_of(names, edges)

    placed = place_boxes(heights, levels, edges, width=WIDTH, between=BETWEEN)

    assert placed.corners.keys() == set(names)
    for at, a in enumerate(names):
        for b in names[at + 1 :]:
            if levels[a] == levels[b]:
                (_, top_a), (_, top_b) = placed.corners[a], placed.corners[b]
                assert top_a + heights[a] <= top_b + 1e-6 or top_b + heights[b] <= top_a + 1e-6
    for (source, target), route in placed.routes.items():
        (x1, y1), (x2, y2) = route[0], route[-1]
        assert x1 == placed.corners[source][0] + WIDTH
        assert x2 == placed.corners[target][0]
        assert placed.corners[source][1] <= y1 <= placed.corners[source][1] + heights[source]
        assert placed.corners[target][1] <= y2 <= placed.corners[target][1] + heights[target]
        assert [x for x, _ in route] == sorted(x for x, _ in route)
    assert all(0 <= x <= placed.width and -1e-6 <= y <= placed.height for x, y in placed.corners.values())


@checked
@given(graphs())
def test_the_picture_does_not_depend_on_the_order_of_the_edges(graph):
    names, edges = graph
    heights = dict.fromkeys(names, 30.0)
    levels = levels_of(names, edges)
    first = place_boxes(heights, levels, edges, width=WIDTH, between=BETWEEN)
    second = place_boxes(heights, levels, edges[::-1], width=WIDTH, between=BETWEEN)

    assert dict(first.corners) == dict(second.corners)
    assert dict(first.routes) == dict(second.routes)


def test_a_planar_graph_is_drawn_without_crossings():
    edges = [("a", "y"), ("b", "x"), ("c", "z")]
    names = ["a", "b", "c", "x", "y", "z"]
    placed = place_boxes(
        dict.fromkeys(names, 20.0), levels_of(names, edges), edges, width=WIDTH, between=BETWEEN
    )

    left = sorted("abc", key=lambda name: placed.corners[name][1])
    right = sorted("xyz", key=lambda name: placed.corners[name][1])
    assert [dict(edges)[name] for name in left] == right
