"""`python -m retraining` is `retrain`."""

from __future__ import annotations

from retraining.cli import main

if __name__ == "__main__":
    main()
