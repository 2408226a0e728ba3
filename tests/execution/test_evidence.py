from __future__ import annotations

import json
import math

from retraining.execution.evidence import edges_of


def test_an_input_compared_on_too_few_days_has_no_bounds_and_can_still_be_recorded() -> None:
    numbers = {"metric": "log_loss", "value": -0.1, "lower": math.nan, "upper": math.nan, "clusters": 1}
    (edge,) = edges_of({"without": {"risk": numbers}}, {"from": "2024-01-01", "to": "2024-01-01"})
    assert (edge["difference"], edge["lower"], edge["upper"]) == (-0.1, None, None)
    json.dumps(edge, allow_nan=False)
