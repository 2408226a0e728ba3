"""The closed list of outcomes, from the best news to the worst, each with its meaning.

Every picture and table of the report, and the command line's last line, take order and words from here.
A word that is not listed (a later program's record) is shown as written, after the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["OUTCOMES", "Outcome", "describe_outcome", "order_of_outcome", "tally"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a node. `attention` marks those that a person should look at first."""

    word: str
    meaning: str
    attention: bool = False


OUTCOMES: tuple[Outcome, ...] = (
    Outcome(word="promoted", meaning="the new version is in the release"),
    Outcome(word="kept", meaning="nothing due or nothing changed; the champion stays"),
    Outcome(
        word="cancelled", meaning="the run stopped, or its node left, before it was done", attention=True
    ),
    Outcome(word="waiting", meaning="won, but its set is not yet consistent", attention=True),
    Outcome(word="pending", meaning="waits for a person's approval", attention=True),
    Outcome(word="insufficient", meaning="too little data to judge; the champion stays", attention=True),
    Outcome(word="rejected", meaning="the gate refused the challenger", attention=True),
    Outcome(word="blocked", meaning="no usable version of an upstream", attention=True),
    Outcome(word="failed", meaning="training raised an error; the champion stays", attention=True),
)

_ORDER = {outcome.word: place for place, outcome in enumerate(OUTCOMES)}


def describe_outcome(word: str) -> Outcome:
    """The outcome of this word; for an unknown word one that says only the word."""
    place = _ORDER.get(word)
    return (
        OUTCOMES[place] if place is not None else Outcome(word=word or "unknown", meaning="", attention=True)
    )


def order_of_outcome(word: str) -> tuple[int, str]:
    """The sort key of an outcome: from the best news to the worst, unknown words last and by name."""
    return _ORDER.get(word, len(OUTCOMES)), word


def tally(words: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """How often each outcome occurs, as (word, count) in reading order, without zeros."""
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return tuple(sorted(counts.items(), key=lambda item: order_of_outcome(item[0])))
