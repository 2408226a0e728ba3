"""Learning: arrays in, results out. Estimators, encodings, fits, metrics, comparisons, artifacts.

Knows neither store nor data. scikit-learn and XGBoost are imported when they are first needed.
"""
