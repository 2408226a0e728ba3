"""The estimator kinds whose artifacts are tested, and a program that fits and stores each of them."""

from __future__ import annotations

import hashlib
import sys

from retraining.learn.fitting import FittedModel, fit
from retraining.learn.persistence import dump
from retraining.learn.threads import one_thread

try:
    from .samples import amounts, labels, mixed, spec
except ImportError:  # run as a program by the test of determinism across processes
    from samples import amounts, labels, mixed, spec  # type: ignore[no-redef]

FEW = {"n_estimators": 4}
REGRESSORS = [
    ("sklearn.linear_model", "LinearRegression", {}),
    ("sklearn.linear_model", "Ridge", {"alpha": 0.5}),
    ("sklearn.linear_model", "Lasso", {"alpha": 0.1}),
    ("sklearn.linear_model", "ElasticNet", {"alpha": 0.1}),
    ("sklearn.linear_model", "SGDRegressor", {}),
    ("sklearn.linear_model", "HuberRegressor", {}),
    ("sklearn.linear_model", "BayesianRidge", {}),
    ("sklearn.svm", "SVR", {}),
    ("sklearn.tree", "DecisionTreeRegressor", {"max_depth": 4}),
    ("sklearn.ensemble", "RandomForestRegressor", FEW),
    ("sklearn.ensemble", "ExtraTreesRegressor", FEW),
    ("sklearn.ensemble", "GradientBoostingRegressor", FEW),
    ("sklearn.ensemble", "AdaBoostRegressor", FEW),
    ("sklearn.ensemble", "BaggingRegressor", FEW),
    ("sklearn.ensemble", "HistGradientBoostingRegressor", {"max_iter": 4, "categorical_features": [2, 3]}),
    ("sklearn.neighbors", "KNeighborsRegressor", {}),
    ("sklearn.neighbors", "KNeighborsRegressor", {"algorithm": "ball_tree", "metric": "manhattan"}),
    ("sklearn.neural_network", "MLPRegressor", {"max_iter": 5}),
    ("sklearn.gaussian_process", "GaussianProcessRegressor", {}),
    ("xgboost", "XGBRegressor", FEW),
    ("xgboost", "XGBRegressor", {"booster": "dart", "rate_drop": 0.5, **FEW}),
    ("xgboost", "XGBRegressor", {"booster": "gblinear", **FEW}),
    ("xgboost", "XGBRFRegressor", FEW),
]
CLASSIFIERS = [
    ("sklearn.linear_model", "LogisticRegression", {}),
    ("sklearn.linear_model", "SGDClassifier", {"loss": "log_loss"}),
    ("sklearn.linear_model", "SGDClassifier", {}),
    ("sklearn.svm", "SVC", {}),
    ("sklearn.svm", "LinearSVC", {}),
    ("sklearn.naive_bayes", "GaussianNB", {}),
    ("sklearn.tree", "DecisionTreeClassifier", {"max_depth": 4}),
    ("sklearn.ensemble", "RandomForestClassifier", FEW),
    ("sklearn.ensemble", "ExtraTreesClassifier", FEW),
    ("sklearn.ensemble", "GradientBoostingClassifier", FEW),
    ("sklearn.ensemble", "HistGradientBoostingClassifier", {"max_iter": 4}),
    ("sklearn.neighbors", "KNeighborsClassifier", {}),
    ("sklearn.neural_network", "MLPClassifier", {"max_iter": 5, "solver": "sgd", "hidden_layer_sizes": [5]}),
    ("xgboost", "XGBClassifier", FEW),
    ("xgboost", "XGBRFClassifier", FEW),
]
KINDS = [(kind, 0) for kind in REGRESSORS] + [(kind, n) for kind in CLASSIFIERS for n in (2, 3)]


def fitted(kind: tuple[str, str, dict[str, object]], n_classes: int) -> FittedModel:
    features = mixed()
    if n_classes == 0:
        return fit(spec(*kind), features, amounts(features), seed=11)
    names = ("late", "on time", "é")[:n_classes]
    return fit(spec(*kind, classes=names), features, labels(features, n_classes), seed=11)


def main() -> None:
    with one_thread():
        for kind, n_classes in KINDS:
            sys.stdout.write(hashlib.sha256(dump(fitted(kind, n_classes))).hexdigest() + "\n")


if __name__ == "__main__":
    main()
