"""Buckets of S3, Google Cloud Storage and Azure as the place of a store."""

from __future__ import annotations
