"""How much the tests do: all of it where nothing may be skipped or slow tests are asked for, a part elsewhere."""

from __future__ import annotations

import os

THOROUGH = bool(os.environ.get("RETRAINING_NO_SKIPS") or os.environ.get("RETRAINING_SLOW"))


def examples(many: int) -> int:
    """How many random examples to try: so many, or a quarter."""
    return many if THOROUGH else max(many // 4, 3)
