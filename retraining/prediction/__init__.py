"""A released graph as one predictor: several tables in, each needed node evaluated once, one table out.

Serving computes M(m, {}) fed with M(upstream, {}): the shipped fits of one release, joined and assembled
by the very code that assembled the training columns (`retraining.data.columns`). A row that training
would have dropped for want of an upstream prediction gets none here, and is counted.
"""

from __future__ import annotations
