"""What a caller of the Python functions gives, held to its type where it comes in: InputError for anything else."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from retraining.errors import InputError

__all__ = ["a_kind", "given_data", "given_moment", "given_number", "given_path", "given_text", "given_texts"]


def a_kind(value: object) -> str:
    """The type of a value with its article, for messages: `a list`, `an int`, `None`."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def given_path(value: object, what: str) -> Path:
    """A path that was given as one or as text."""
    return Path(given_text(value, what, "a path"))


def given_text(value: object, what: str, expected: str = "a text") -> str:
    """A text, or a path as text; `what` names the argument in the message."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        raise InputError(f"{what} is {a_kind(value)}; expected {expected}", f"give {expected}")
    return text


def given_texts(value: object, what: str) -> tuple[str, ...]:
    """Several texts; one text is one of them, not its letters."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Iterable) and not isinstance(value, Mapping | bytes):
        texts = tuple(os.fspath(one) if isinstance(one, os.PathLike) else one for one in value)
        if all(isinstance(text, str) for text in texts):
            return texts
    raise InputError(f"{what} is {value!r:.80}; expected texts", f'give texts: {what}=("...",)')


def given_moment(value: object, what: str) -> str | None:
    """A moment as ISO text, None for none; a datetime or a date is taken as what it says."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dt.date):  # a datetime is one too
        return value.isoformat()
    raise InputError(
        f"{what} is {a_kind(value)}; expected a moment",
        "give a date (2013-07-01), a moment (2013-07-01T06:00:00Z) or a datetime",
    )


def given_number(value: object, what: str, listed: str) -> int:
    """A whole number; `listed` says where those that there are can be seen."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{what} {value!r:.80} is no whole number", f"{listed} lists them")
    return value


def given_data(value: object) -> Mapping[str, str]:
    """Paths by dataset; nothing for None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InputError(
            f"data is {a_kind(value)}; expected paths by the names of datasets",
            'give data={"DATASET": "PATH"}',
        )
    return dict(value)
