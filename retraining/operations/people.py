"""What all decisions of people have in common: they say why, and the log says who and when."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from retraining.decide.calendar import iso_of
from retraining.errors import InputError
from retraining.manifest.values import Json
from retraining.release.update import Requirement, Update
from retraining.store.entries import Head, Kind
from retraining.store.log import Store
from retraining.store.runs import new_run_id

__all__ = ["Word", "named_briefly", "who_am_i", "word_of"]

_MOST_LETTERS = 2_000
_MOST_NAMES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A person's word: who (user@host), when (an ISO instant in UTC), why; and the name of the command's run.

    `because` is '' where no reason was given.
    """

    who: str
    time: str
    because: str
    run: str

    def commit(
        self,
        store: Store,
        update: Update,
        requires: Collection[Requirement],
        *,
        kind: Kind,
        why: Mapping[str, Json],
        manifest: Mapping[str, str],
        start: Head,
    ) -> Head:
        """The head after the update, with the person's reason in the log entry; errors as `Store.commit`.

        `start` is the head from which the update was worked out.
        """
        return store.commit(
            update,
            requires,
            kind=kind,
            run=self.run,
            who=self.who,
            why={**({"because": self.because} if self.because else {}), **why},
            manifest=manifest,
            now=self.time,
            start=start,
        )


def word_of(because: str | None) -> Word:
    """The word that this process's user gives now; InputError for an empty reason (None: none is asked for)."""
    text = " ".join((because or "").split())
    if because is not None and not text:
        raise InputError(
            "no reason was given", "say why, for whoever reads the history: --because 'holiday data is wrong'"
        )
    if len(text) > _MOST_LETTERS:
        raise InputError(
            f"the reason has {len(text):,} letters, and at most {_MOST_LETTERS:,} are kept",
            "shorten it, or name the ticket that holds the rest",
        )
    now = time.time()
    return Word(
        who=who_am_i(), time=iso_of(now), because=text, run=new_run_id(int(now * 1000), os.urandom(4))
    )


def who_am_i() -> str:
    """user@host of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def named_briefly(names: Collection[str]) -> list[Json]:
    """The first names in order, for a log entry, which has to stay small."""
    return [*sorted(names)[:_MOST_NAMES]]


def because_of(promoted: Mapping[str, str]) -> dict[str, Json]:
    """What a log entry says of a promotion against the gate; empty where nothing was promoted so."""
    if not promoted:
        return {}
    said = next(iter(promoted.values()))
    return {"because": said.partition(": ")[2]}


def refuse_half(promoted: Mapping[str, str], outcomes: Mapping[str, tuple[str, str]]) -> None:
    """InputError where a challenger that a person wants released cannot be: then none is."""
    for node in promoted:
        word, because = outcomes[node]
        if word != "promoted":
            raise InputError(
                f"{node} cannot be released ({word}: {because}); nothing was released",
                "promote what it waits for too, or let a run train it" if word == "waiting" else "run again",
            )
