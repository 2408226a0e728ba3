"""Every error that a user of `retraining` can meet, grouped by what a handler would do.

::

    RetrainingError
    ├── InputError                 exit 2: mend the manifest, the arguments or the data
    │   ├── ManifestError          every problem of a manifest at once
    │   ├── SelectionError         --select or --exclude
    │   ├── DataError              a dataset
    │   └── UnknownReleaseError    a release that is not there (a NotFoundError too)
    ├── StoreError                 exit 3: the store or the cluster cannot be used
    │   ├── NotFoundError
    │   ├── AlreadyExistsError
    │   ├── IntegrityError         bytes are not what their record says
    │   │   └── SignatureError     nobody whose key is accepted has signed them
    │   ├── UnansweredError        the server did not answer; a write may have been applied
    │   └── ClusterError           Ray could not be started or was lost
    ├── ReleaseConflictError       exit 4: another run released the same nodes first
    ├── CommitOutcomeUnknownError  exit 5: the commit may or may not have landed
    └── InterruptedRunError        exit 130: Ctrl-C or SIGTERM

A message says what is wrong, where, what was expected, and what to do next.
What a gate decides is a value (`Verdict`), never an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AlreadyExistsError",
    "ClusterError",
    "CommitOutcomeUnknownError",
    "DataError",
    "InputError",
    "IntegrityError",
    "InterruptedRunError",
    "ManifestError",
    "NotFoundError",
    "Problem",
    "ReleaseConflictError",
    "RetrainingError",
    "SelectionError",
    "SignatureError",
    "StoreError",
    "UnansweredError",
    "UnknownReleaseError",
]


class RetrainingError(Exception):
    """An error whose text is meant for the user; `exit_code` is the command line's.

    Parameters
    ----------
    message
        What is wrong, with the value that was found and what was expected.
    next_step
        What the user can do about it.
    """

    exit_code = 1

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message, next_step)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message}\n  next: {self.next_step}" if self.next_step else self.message


class InputError(RetrainingError):
    """The manifest, the arguments or the data are wrong."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a manifest or its data, and where.

    `line` and `column` count from 1; 0 means that the problem has no place in the file.
    `path` is the place in the document (`models.delay.features[2]`).
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    next_step: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        at = f" at {self.path}" if self.path else ""
        tail = f"\n    next: {self.next_step}" if self.next_step else ""
        return f"{place}{at}\n    {self.message}{tail}"


class ManifestError(InputError):
    """All problems of a manifest (and of the data it names), in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ManifestError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class SelectionError(InputError):
    """An expression of --select or --exclude that cannot be read or matches nothing."""


class DataError(InputError):
    """A dataset that is missing, unreadable, or not what the manifest says."""


class StoreError(RetrainingError):
    """The store cannot be used."""

    exit_code = 3


class NotFoundError(StoreError):
    """No object has this key."""


class UnknownReleaseError(InputError, NotFoundError):
    """Whoever asked named a release that the store never had, or no longer keeps."""


class AlreadyExistsError(StoreError):
    """Another writer created this key first."""


class IntegrityError(StoreError):
    """Bytes in the store are not what their record says."""


class SignatureError(IntegrityError):
    """What should be signed is not, or by a key that is not accepted."""


class UnansweredError(StoreError):
    """The store's server did not answer; what was asked of it may or may not have happened."""


class ClusterError(StoreError):
    """Ray could not be started, or was lost during a run."""


class ReleaseConflictError(RetrainingError):
    """Another run released some of the same nodes first."""

    exit_code = 4


class CommitOutcomeUnknownError(RetrainingError):
    """The store did not answer whether the commit landed; nothing was deleted."""

    exit_code = 5


class InterruptedRunError(RetrainingError):
    """The run was stopped by Ctrl-C or SIGTERM; running again continues it."""

    exit_code = 130
