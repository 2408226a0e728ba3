"""Where the boxes of a layered graph go: pure geometry, no drawing, the same picture for the same graph.

The classical recipe (Sugiyama, Tagawa and Toda 1981): levels by longest path, lanes through the levels
that an edge skips (one lane for each source, shared by its edges), order by barycentres keeping the
sweep with the fewest crossings, positions by least squares under a smallest gap.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Placement", "Point", "levels_of", "place_boxes"]

Point: TypeAlias = tuple[float, float]
_Item: TypeAlias = tuple[str, int]  # (box, its level), or (source of a lane, a level that it crosses)

_GAP = 16.0
_LANE_HEIGHT = 6.0
_SWEEPS = 12
# Counting crossings is quadratic in the links between two levels; past this the last sweep is taken.
_MOST_COUNTED_LINKS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Left upper corners of the boxes, a list of points for each edge, and the size of the whole.

    `columns` holds the x of each level that has boxes. A route's points lie on the boxes' sides and on
    the two ends of each lane, in the order in which the edge runs.
    """

    corners: Mapping[str, Point]
    routes: Mapping[tuple[str, str], tuple[Point, ...]]
    columns: Mapping[int, float]
    width: float
    height: float


def levels_of(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The level of each name: the longest path to it from a name without incoming edges.

    Names on a cycle (no sound record has one) keep the level at which the cycle was met.
    """
    waiting = dict.fromkeys(names, 0)
    downstreams: defaultdict[str, list[str]] = defaultdict(list)
    for upstream, downstream in edges:
        downstreams[upstream].append(downstream)
        waiting[downstream] += 1
    levels = dict.fromkeys(names, 0)
    ready = [name for name in names if not waiting[name]]
    while ready:
        name = ready.pop()
        for downstream in downstreams[name]:
            levels[downstream] = max(levels[downstream], levels[name] + 1)
            waiting[downstream] -= 1
            if not waiting[downstream]:
                ready.append(downstream)
    return levels


def place_boxes(
    heights: Mapping[str, float],
    levels: Mapping[str, int],
    edges: Sequence[tuple[str, str]],
    *,
    width: float,
    between: float,
) -> Placement:
    """The placement of boxes of one width and these heights, with `between` from level to level.

    Edges that do not run to a higher level are left out.
    """
    forward = [edge for edge in dict.fromkeys(edges) if levels[edge[0]] < levels[edge[1]]]
    paths = {edge: _path(edge, levels) for edge in forward}
    links = sorted({link for path in paths.values() for link in itertools.pairwise(path)})
    columns = _columns(levels, paths)
    columns = _ordered(columns, links)
    size = {
        item: heights[item[0]] if levels[item[0]] == item[1] else _LANE_HEIGHT
        for items in columns
        for item in items
    }
    middles = _middles(columns, links, size)
    top = min((middles[item] - size[item] / 2 for item in middles), default=0.0)
    x_of = {level: level * (width + between) for level in range(len(columns))}
    corners = {
        item[0]: (x_of[item[1]], middles[item] - size[item] / 2 - top)
        for item in middles
        if levels[item[0]] == item[1]
    }
    routes = _routes(paths, {item: middle - top for item, middle in middles.items()}, size, x_of, width)
    bottom = max((middles[item] + size[item] / 2 - top for item in middles), default=0.0)
    return Placement(
        corners=corners,
        routes=routes,
        columns={level: x_of[level] for level in sorted(set(levels.values()))},
        width=max(len(columns) * (width + between) - between, 0.0),
        height=bottom,
    )


def _path(edge: tuple[str, str], levels: Mapping[str, int]) -> list[_Item]:
    source, target = edge
    return [*((source, level) for level in range(levels[source], levels[target])), (target, levels[target])]


def _columns(levels: Mapping[str, int], paths: Mapping[tuple[str, str], list[_Item]]) -> list[list[_Item]]:
    items = {(name, level) for name, level in levels.items()}
    items.update(item for path in paths.values() for item in path)
    depth = max(levels.values(), default=-1) + 1
    return [sorted(item for item in items if item[1] == level) for level in range(depth)]


def _ordered(columns: list[list[_Item]], links: Sequence[tuple[_Item, _Item]]) -> list[list[_Item]]:
    before, after = _neighbours(links)
    by_level: defaultdict[int, list[tuple[_Item, _Item]]] = defaultdict(list)
    for link in links:
        by_level[link[0][1]].append(link)
    counted = all(len(level) <= _MOST_COUNTED_LINKS for level in by_level.values())
    best, fewest = columns, _crossings(columns, by_level) if counted else -1
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        columns = _swept(columns, before if downwards else after, downwards)
        crossings = _crossings(columns, by_level) if counted else -1
        if crossings < fewest or not counted:
            best, fewest = columns, crossings
    return best


def _neighbours(
    links: Sequence[tuple[_Item, _Item]],
) -> tuple[dict[_Item, list[_Item]], dict[_Item, list[_Item]]]:
    before: defaultdict[_Item, list[_Item]] = defaultdict(list)
    after: defaultdict[_Item, list[_Item]] = defaultdict(list)
    for source, target in links:
        after[source].append(target)
        before[target].append(source)
    return dict(before), dict(after)


def _swept(
    columns: list[list[_Item]], neighbours: Mapping[_Item, list[_Item]], downwards: bool
) -> list[list[_Item]]:
    swept = [list(column) for column in columns]
    for level in range(len(swept)) if downwards else reversed(range(len(swept))):
        place = {item: at for column in swept for at, item in enumerate(column)}
        centre = {
            item: sum(place[other] for other in neighbours[item]) / len(neighbours[item])
            if item in neighbours
            else float(place[item])
            for item in swept[level]
        }
        swept[level].sort(key=lambda item: (centre[item], place[item]))
    return swept


def _crossings(
    columns: Sequence[Sequence[_Item]], by_level: Mapping[int, Sequence[tuple[_Item, _Item]]]
) -> int:
    place = {item: at for column in columns for at, item in enumerate(column)}
    crossings = 0
    for links in by_level.values():
        ends = [(place[source], place[target]) for source, target in links]
        crossings += sum((a - c) * (b - d) < 0 for at, (a, b) in enumerate(ends) for c, d in ends[at + 1 :])
    return crossings


def _middles(
    columns: Sequence[Sequence[_Item]],
    links: Sequence[tuple[_Item, _Item]],
    size: Mapping[_Item, float],
) -> dict[_Item, float]:
    before, after = _neighbours(links)
    middles: dict[_Item, float] = {}
    for column in columns:
        total = sum(size[item] + _GAP for item in column)
        at = -total / 2
        for item in column:
            middles[item] = at + (size[item] + _GAP) / 2
            at += size[item] + _GAP
    for sweep in range(_SWEEPS):
        neighbours = before if sweep % 2 == 0 else after
        for column in columns:
            wanted = [
                sum(middles[other] for other in neighbours[item]) / len(neighbours[item])
                if item in neighbours
                else middles[item]
                for item in column
            ]
            middles.update(zip(column, spread(wanted, [size[item] for item in column]), strict=True))
    return middles


def spread(wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """The middles nearest to the wanted ones (least squares) that keep the order and the gaps.

    Isotonic regression by pooling adjacent violators, on the middles less what lies above them.
    """
    offsets: list[float] = []
    at = 0.0
    for place, size in enumerate(sizes):
        at += (sizes[place - 1] + size) / 2 + _GAP if place else 0.0
        offsets.append(at)
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        pools.append((want - offset, 1))
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            (last, many), (total, more) = pools.pop(), pools.pop()
            pools.append((total + last, more + many))
    flat = [total / many for total, many in pools for _ in range(many)]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]


def _routes(
    paths: Mapping[tuple[str, str], list[_Item]],
    middles: Mapping[_Item, float],
    size: Mapping[_Item, float],
    x_of: Mapping[int, float],
    width: float,
) -> dict[tuple[str, str], tuple[Point, ...]]:
    links = {link for path in paths.values() for link in itertools.pairwise(path)}
    leaving = _ports([(a, b) for a, b in links], middles, size)
    arriving = _ports([(b, a) for a, b in links], middles, size)
    routes = {}
    for edge, path in paths.items():
        points: list[Point] = []
        for source, target in itertools.pairwise(path):
            points.append((x_of[source[1]] + width, leaving[source, target]))
            points.append((x_of[target[1]], arriving[target, source]))
        routes[edge] = tuple(points)
    return routes


def _ports(
    pairs: Sequence[tuple[_Item, _Item]], middles: Mapping[_Item, float], size: Mapping[_Item, float]
) -> dict[tuple[_Item, _Item], float]:
    """Where each link touches the side of its first item: in the order of the others, evenly spread."""
    others: defaultdict[_Item, list[_Item]] = defaultdict(list)
    for item, other in pairs:
        others[item].append(other)
    ports = {}
    for item, ends in others.items():
        ends.sort(key=lambda end: (middles[end], end))
        step = min(9.0, max(size[item] - 12.0, 0.0) / len(ends))
        first = middles[item] - step * (len(ends) - 1) / 2
        for place, end in enumerate(ends):
            ports[item, end] = first + step * place
    return ports
