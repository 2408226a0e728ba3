"""The error of one fit."""

from __future__ import annotations

from retraining.errors import RetrainingError

__all__ = ["FitError"]


class FitError(RetrainingError):
    """One fit could not be made, could not predict, or could not be stored: its node fails alone."""
