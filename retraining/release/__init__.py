"""A release as a value: node states, updates with their requirements, the largest consistent set. Pure."""

from __future__ import annotations
