"""Predicts with a release of a store: files in, one file out."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retraining.errors import InputError
from retraining.manifest.given import given_text, given_texts
from retraining.manifest.values import Json
from retraining.prediction.answer import Prediction
from retraining.prediction.past import History
from retraining.prediction.releases import open_store
from retraining.prediction.routing import UnknownPolicy
from retraining.prediction.writing import check_output, csv_text, write_predictions

_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSummary:
    """What was predicted; `output` is the file that was written, None where none was asked for."""

    prediction: Prediction
    output: str | None

    @property
    def release(self) -> int:
        """The number of the release that predicted."""
        return self.prediction.release

    def csv(self) -> str:
        """The predictions as CSV with a header, for standard output."""
        return csv_text(self.prediction.table)

    def text(self) -> str:
        """What was predicted in a few lines, for standard error."""
        written = "" if self.output is None else f"\nwritten to {self.output}"
        return self.prediction.summary() + written

    def to_json(self) -> dict[str, Json]:
        """The counts as a document."""
        return {
            "format": 1,
            **self.prediction.to_json(),
            "output": self.output,
        }


def predict(
    store: str,
    target: str,
    data: Mapping[str, str] | Sequence[str],
    output: str | None = None,
    release: int | None = None,
    *,
    unknown: UnknownPolicy = "error",
    history: History = "recorded",
    allow: Sequence[str] = (),
    allow_joblib: bool = False,
) -> PredictionSummary:
    """The predictions of a released model or node for the rows of some files.

    `data` maps datasets to paths, or lists them as `DATASET=PATH`; one bare path stands for the only
    dataset that is needed. `output` ends in .parquet or .csv; `release` is a number (None: the newest). Paths
    may be in a bucket. `unknown` says what becomes of rows whose partition is no node: an error, or nulls;
    `history` what rows from before a version's cut get: what its column has for them, or what the shipped model
    says of them.
    `allow` and `allow_joblib` are those of `open_store`.
    """
    frames = data_files(data)
    output = None if output is None else given_text(output, "the output", "a path")
    if output is not None:
        check_output(output, frames.values() if isinstance(frames, dict) else [frames])
    releases = open_store(store, allow=allow, allow_joblib=allow_joblib)
    chosen = releases.current() if release is None else releases.release(release)
    prediction = chosen.predict(target, frames, unknown=unknown, history=history)
    if output is not None:
        write_predictions(prediction.table, output)
    return PredictionSummary(prediction=prediction, output=output)


def data_files(data: Mapping[str, str] | Sequence[str]) -> dict[str, str] | str:
    """The paths by dataset, or the one bare path; InputError where bare paths and names are mixed."""
    if isinstance(data, Mapping):
        return dict(data)
    entries = given_texts(os.fspath(data) if isinstance(data, os.PathLike) else data, "data")
    named: dict[str, str] = {}
    bare: list[str] = []
    for entry in entries:
        match = _NAMED.fullmatch(entry)
        if match is None or Path(entry).exists():
            bare.append(entry)
        elif match[1] in named:
            raise InputError(
                f"--data names {match[1]} twice", "name each dataset once; a folder may hold many files"
            )
        else:
            named[match[1]] = match[2]
    if not entries:
        raise InputError(
            "there are no rows to predict", "pass --data FILE, or --data DATASET=FILE for each dataset"
        )
    if bare and (named or len(bare) > 1):
        raise InputError(
            f"--data {bare[0]} does not say of which dataset it is",
            f"write --data DATASET={bare[0]}",
        )
    return named or bare[0]
