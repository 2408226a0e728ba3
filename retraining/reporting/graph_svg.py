"""The graph of a run as one SVG: a card for each model, in it a chip for each partition, by level.

Three grains keep a picture of any size readable. Chips stand for single nodes; a model of more than
`MOST_CHIPS` nodes (every model, past `MOST_NODES` in all) shows counts; past `MOST_MODELS` models a card
stands for a whole level. Colour never stands alone: each chip has its outcome's sign and a title with
its full name, each count its word.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from retraining.reporting.icons import icon_use, outcome_class
from retraining.reporting.layout import Placement, Point, levels_of, place_boxes
from retraining.reporting.markup import Markup, join, tag
from retraining.reporting.outcomes import tally
from retraining.reporting.text import plural, shorten
from retraining.reporting.view import DrawnNode

__all__ = [
    "MOST_CHIPS",
    "MOST_MODELS",
    "MOST_NODES",
    "Picture",
    "draw_graph",
    "explain_cards",
    "picture_of",
]

MOST_CHIPS = 30
MOST_NODES = 400
MOST_MODELS = 60
_MOST_FINE_EDGES = 800

_WIDTH = 178.0
_BETWEEN = 56.0
_PAD = 9.0
_HEAD = 42.0
_CHIP_HEIGHT = 24.0
_CHIP_GAP = 4.0
_LINE = 19.0
_MARGIN = 4.0
_LEVEL_HEAD = 26.0
# Widths of an average letter in the fonts of style.css; SVG text cannot be measured here.
_CHIP_LETTER, _TITLE_LETTER, _SUB_LETTER = 6.4, 7.3, 5.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The content of an SVG of this size, without the element around it."""

    width: float
    height: float
    content: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """A rectangle of the picture: a model or a whole level, with its nodes as chips or as counts."""

    key: str
    title: str
    subtitle: str
    nodes: tuple[DrawnNode, ...]
    chips: bool

    @property
    def is_single(self) -> bool:
        return self.chips and len(self.nodes) == 1 and not self.nodes[0].label

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        return tally(node.outcome for node in self.nodes)

    @property
    def per_row(self) -> int:
        longest = max(len(node.label) for node in self.nodes)
        wanted = min(longest * _CHIP_LETTER + 30, _WIDTH - 2 * _PAD)
        return max(1, int((_WIDTH - 2 * _PAD + _CHIP_GAP) // (wanted + _CHIP_GAP)))

    @property
    def chip_width(self) -> float:
        many = min(self.per_row, len(self.nodes))
        return (_WIDTH - 2 * _PAD - _CHIP_GAP * (many - 1)) / many

    @property
    def height(self) -> float:
        if self.is_single:
            return _HEAD + 4
        if not self.chips:
            return _HEAD + len(self.counts) * _LINE + _PAD - 2
        rows = -(-len(self.nodes) // self.per_row)
        return _HEAD + rows * (_CHIP_HEIGHT + _CHIP_GAP) - _CHIP_GAP + _PAD

    def chip_corner(self, place: int) -> Point:
        """The left upper corner of a chip, from the card's own corner."""
        if self.is_single:
            return 0.0, 0.0
        row, column = divmod(place, self.per_row)
        return (
            _PAD + column * (self.chip_width + _CHIP_GAP),
            _HEAD + row * (_CHIP_HEIGHT + _CHIP_GAP),
        )

    def chip_size(self) -> tuple[float, float]:
        return (_WIDTH, self.height) if self.is_single else (self.chip_width, _CHIP_HEIGHT)


def draw_graph(nodes: Sequence[DrawnNode]) -> Markup:
    """The SVG of the graph of these nodes for the page, or a sentence where there are none."""
    if not nodes:
        return tag("p", None, "The record of this run has no nodes.")
    picture = picture_of(nodes)
    width = picture.width
    return tag(
        "svg",
        {
            "class": "graph",
            "role": "group",
            "aria-labelledby": "graph-title graph-desc",
            "viewBox": f"0 0 {width:.0f} {picture.height:.0f}",
            "style": f"max-width:{width:.0f}px;min-width:{min(width, max(width * 0.82, 640)):.0f}px",
        },
        picture.content,
    )


def picture_of(nodes: Sequence[DrawnNode]) -> Picture:
    """The picture of the graph of these nodes, of which there is at least one."""
    cards, edges = _cards(nodes)
    levels = levels_of([card.key for card in cards], edges)
    placement = place_boxes(
        {card.key: card.height for card in cards}, levels, edges, width=_WIDTH, between=_BETWEEN
    )
    content = join(
        [
            tag("title", {"id": "graph-title"}, "The graph of models, coloured by outcome"),
            tag("desc", {"id": "graph-desc"}, _description(nodes, cards, levels)),
            _level_heads(placement),
            tag(
                "g",
                {"transform": f"translate({_MARGIN:.0f} {_LEVEL_HEAD + _MARGIN:.0f})"},
                _coarse_edges(placement),
                _fine_edges(cards, placement, nodes),
                *(_draw_card(card, placement.corners[card.key]) for card in cards),
            ),
        ]
    )
    return Picture(
        width=placement.width + 2 * _MARGIN,
        height=placement.height + _LEVEL_HEAD + 2 * _MARGIN,
        content=content,
    )


def explain_cards(nodes: Sequence[DrawnNode]) -> str:
    """What a card of the picture stands for, in a sentence."""
    models = {node.model for node in nodes}
    if len(models) > MOST_MODELS:
        return f"There are {plural(len(models), 'model')}, so each card stands for a level of them."
    if all(card.chips for card in _cards(nodes)[0]):
        return "Each card is a model, each chip in it one of its partitions."
    return "Each card is a model; where it has many partitions, it counts their outcomes."


def _description(nodes: Sequence[DrawnNode], cards: Sequence[_Card], levels: dict[str, int]) -> str:
    depth = max(levels.values()) + 1
    words = ", ".join(f"{count:,} {word}" for word, count in tally(node.outcome for node in nodes))
    return (
        f"{plural(len(nodes), 'node')} of {plural(len({node.model for node in nodes}), 'model')} "
        f"in {plural(len(cards), 'card')} on {plural(depth, 'level')}; upstreams stand left of their "
        f"readers. Outcomes: {words}."
    )


def _cards(nodes: Sequence[DrawnNode]) -> tuple[list[_Card], list[tuple[str, str]]]:
    of_model: defaultdict[str, list[DrawnNode]] = defaultdict(list)
    for node in nodes:
        of_model[node.model].append(node)
    edges = _model_edges(nodes)
    if len(of_model) > MOST_MODELS:
        return _level_cards(of_model, edges)
    cards = [
        _Card(
            key=model,
            title=model,
            subtitle=_subtitle(members),
            nodes=tuple(members),
            chips=len(members) <= MOST_CHIPS and len(nodes) <= MOST_NODES,
        )
        for model, members in sorted(of_model.items())
    ]
    return cards, edges


def _subtitle(members: Sequence[DrawnNode]) -> str:
    estimators = sorted({node.estimator for node in members if node.estimator})
    kind = (
        estimators[0] if len(estimators) == 1 else plural(len(estimators), "estimator") if estimators else ""
    )
    many = f"{plural(len(members), 'node')}" if len(members) > 1 else ""
    return " · ".join(filter(None, [kind, many]))


def _level_cards(
    of_model: dict[str, list[DrawnNode]], edges: Sequence[tuple[str, str]]
) -> tuple[list[_Card], list[tuple[str, str]]]:
    levels = levels_of(sorted(of_model), edges)
    cards = []
    for level in sorted(set(levels.values())):
        models = sorted(model for model in levels if levels[model] == level)
        members = tuple(node for model in models for node in of_model[model])
        cards.append(
            _Card(
                key=f"{level:09}",
                title=models[0] if len(models) == 1 else plural(len(models), "model"),
                subtitle=plural(len(members), "node"),
                nodes=members,
                chips=False,
            )
        )
    between = sorted({(f"{levels[a]:09}", f"{levels[b]:09}") for a, b in edges if levels[a] < levels[b]})
    return cards, between


def _model_edges(nodes: Sequence[DrawnNode]) -> list[tuple[str, str]]:
    model_of = {node.name: node.model for node in nodes}
    return sorted(
        {
            (model_of[upstream], node.model)
            for node in nodes
            for upstream in node.upstreams
            if upstream in model_of and model_of[upstream] != node.model
        }
    )


def _level_heads(placement: Placement) -> Markup:
    return join(
        tag("text", {"class": "level", "x": x + _MARGIN + 1, "y": 14}, f"level {level}")
        for level, x in placement.columns.items()
    )


def _coarse_edges(placement: Placement) -> Markup:
    """The curves between cards, each piece once: edges of one source share its lanes."""
    pieces: dict[tuple[Point, Point], bool] = {}
    for route in placement.routes.values():
        for at, piece in enumerate(itertools.pairwise(route)):
            ends_here = at == len(route) - 2
            pieces[piece] = pieces.get(piece, False) or ends_here
    return tag(
        "g",
        {"class": "edges", "aria-hidden": "true"},
        *(
            join(
                [
                    tag("path", {"d": _curve(start, end)}),
                    tag("circle", {"cx": end[0], "cy": end[1], "r": 2.6}) if arrives else "",
                ]
            )
            for (start, end), arrives in sorted(pieces.items())
        ),
    )


def _curve(start: Point, end: Point) -> str:
    (x1, y1), (x2, y2) = start, end
    middle = (x1 + x2) / 2
    if abs(y1 - y2) < 0.05:
        return f"M{x1:.1f} {y1:.1f}H{x2:.1f}"
    return f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"


def _draw_card(card: _Card, corner: Point) -> Markup:
    inner = _chips(card) if card.chips else _counts(card)
    head = [
        tag("rect", {"class": "card", "width": _WIDTH, "height": card.height, "rx": 9.0}),
        _text(card.title, "t", 18.0, _WIDTH - 2 * _PAD, _TITLE_LETTER),
        _text(card.subtitle, "s", 33.0, _WIDTH - 2 * _PAD, _SUB_LETTER),
    ]
    body = [inner] if card.is_single else [*head, inner]
    return tag("g", {"transform": f"translate({corner[0]:.1f} {corner[1]:.1f})"}, *body)


def _text(words: str, kind: str, y: float, room: float, letter: float) -> Markup:
    shown = shorten(words, int(room / letter))
    hover = tag("title", None, words) if shown != words else ""
    return tag("text", {"class": kind, "x": _PAD, "y": y}, shown, hover)


def _counts(card: _Card) -> Markup:
    lines = []
    for place, (word, count) in enumerate(card.counts):
        y = _HEAD + place * _LINE
        lines.append(icon_use(word, {"x": _PAD, "y": y, "width": 13, "height": 13}))
        lines.append(tag("text", {"class": "c", "x": _PAD + 20, "y": y + 10.5}, f"{count:,} {word}"))
    return join(lines)


def _chips(card: _Card) -> Markup:
    return join(_single(card) if card.is_single else _chip(card, place) for place in range(len(card.nodes)))


def _chip(card: _Card, place: int) -> Markup:
    node = card.nodes[place]
    x, y = card.chip_corner(place)
    width, height = card.chip_size()
    shown = shorten(node.label, max(3, int((width - 26) / _CHIP_LETTER)))
    return _linked(
        node,
        tag("rect", {"x": x, "y": y, "width": width, "height": height, "rx": 6.0}),
        icon_use(node.outcome, {"x": x + 5, "y": y + 5.5, "width": 13, "height": 13}),
        tag("text", {"class": "c", "x": x + 21, "y": y + 16.2}, shown),
    )


def _single(card: _Card) -> Markup:
    """A model of one node: the card itself is the chip."""
    return _linked(
        card.nodes[0],
        tag("rect", {"width": _WIDTH, "height": card.height, "rx": 9.0}),
        _text(card.title, "t", 19.0, _WIDTH - 2 * _PAD - 18, _TITLE_LETTER),
        _text(card.subtitle, "s", 35.0, _WIDTH - 2 * _PAD, _SUB_LETTER),
        icon_use(card.nodes[0].outcome, {"x": _WIDTH - 22, "y": 8.0, "width": 14, "height": 14}),
    )


def _linked(node: DrawnNode, *drawn: Markup) -> Markup:
    title = f"{node.name}: {node.outcome}" + (f", {node.because}" if node.because else "")
    return tag(
        "a",
        {
            "href": f"#n{node.place}",
            "class": f"chip {outcome_class(node.outcome)}",
            "data-p": node.place,
            "aria-label": f"{node.name}: {node.outcome}",
        },
        tag("title", None, title),
        *drawn,
    )


def _fine_edges(cards: Sequence[_Card], placement: Placement, nodes: Sequence[DrawnNode]) -> Markup:
    """The edges from node to node, from card to card at the heights of their chips.

    The style hides them until a node is pointed at. There are none where cards show counts.
    """
    ends: dict[str, tuple[int, Point, Point]] = {}
    for card in cards:
        x, y = placement.corners[card.key]
        for place, node in enumerate(card.nodes if card.chips else ()):
            middle = y + card.chip_corner(place)[1] + card.chip_size()[1] / 2
            ends[node.name] = (node.place, (x, middle), (x + _WIDTH, middle))
    pairs = [(up, node.name) for node in nodes for up in node.upstreams if up in ends and node.name in ends]
    if len(pairs) > _MOST_FINE_EDGES:
        return join([])
    return tag(
        "g",
        {"class": "fine", "aria-hidden": "true"},
        *(
            tag(
                "path",
                {"data-e": f"{ends[up][0]} {ends[down][0]}", "d": _curve(ends[up][2], ends[down][1])},
            )
            for up, down in pairs
        ),
    )
