"""The Ray backend: the only place that imports Ray."""
