"""Decide, retrain, judge and release graphs of dependent machine-learning models."""
