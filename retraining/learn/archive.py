"""A fitted scikit-learn estimator as skops bytes that are equal for equal estimators.

Invariants: reading imports and calls only what `_TRUSTED` below, skops' own list of scikit-learn and numpy
types, and the caller's permissions allow, never what the bytes ask for; writing refuses what reading would
refuse; an archive unpacks to no more bytes than it has.

skops 0.16 names its parts by the addresses of objects and by random numbers, and dates them: two dumps of
one model differ (docs/design.md). Here addresses are left out, and equal parts are stored once under a
number. The audit covers code, not memory: a crafted tree can still crash scikit-learn, so a caller
verifies the digest of its record before it reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from retraining.learn.own import own_callable
from retraining.manifest.permissions import NOTHING, Permissions

__all__ = ["UntrustedError", "read_estimator", "write_estimator"]

# The list lives in this file, never in an artifact or a manifest. Each is plain data of a fitted model, but
# for a partial `check_array`, with which histogram boosting reads `categorical_features`.
_TRUSTED = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "functools.partial",
    # what a FunctionTransformer is given
    *(f"numpy.{name}" for name in ("absolute", "cos", "exp", "expm1", "log", "log10", "log1p", "log2")),
    *(f"numpy.{name}" for name in ("reciprocal", "sign", "sin", "sqrt", "square", "tan", "tanh")),
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.compose._column_transformer._RemainderColsList",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    *(
        f"sklearn.feature_selection._univariate_selection.{name}"
        for name in ("chi2", "f_classif", "f_regression")
    ),
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils.validation.check_array",
    # inside a pipeline; alone they are stored in their own format
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
    "xgboost.sklearn.XGBRegressor",
)
# Of skops' node kinds those that hold data; methods and operators are not among them.
_LOADERS = frozenset(
    {
        *(
            "DictNode",
            "DefaultDictNode",
            "ListNode",
            "TupleNode",
            "SetNode",
            "JsonNode",
            "SliceNode",
            "TypeNode",
            "DTypeNode",
        ),
        *(
            "BytesNode",
            "BytearrayNode",
            "NdArrayNode",
            "MaskedArrayNode",
            "SparseMatrixNode",
            "RandomStateNode",
            "RandomGeneratorNode",
        ),
        *("ObjectNode", "TreeNode", "LossNode", "ConstructorFromReduceNode", "FunctionNode", "PartialNode"),
    }
)
_SCHEMA = "schema.json"
# In the state of a neighbours tree: how often it trimmed, met leaves, split and measured, in all queries.
_TREE_COUNTERS = slice(7, 11)


class UntrustedError(ValueError):
    """An archive holds kinds of nodes or types that are not allowed; `names` are sorted."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        super().__init__(f"holds {', '.join(self.names)}, which is not on the list of safe types")


def write_estimator(estimator: Any, permissions: Permissions = NOTHING) -> bytes:
    """The estimator as canonical skops bytes: equal estimators give equal bytes in any process.

    Raises ValueError or TypeError where skops cannot store it or `read_estimator` would refuse it.
    """
    data, kinds = _canonical(*_described(estimator))
    _audit_once(_Written(kinds=kinds, data=data), permissions)
    return data


@dataclass(frozen=True, slots=True)
class _Written:
    """An archive that this process wrote; two with the same kinds of nodes pass or fail the audit together."""

    kinds: frozenset[tuple[str, str, str]]
    data: bytes = field(compare=False)


@lru_cache(maxsize=256)
def _audit_once(written: _Written, permissions: Permissions) -> None:
    """The audit of what is written: thousands of models of one kind need it once. Reading audits always."""
    _audit(written.data, permissions)


def read_estimator(data: bytes, permissions: Permissions = NOTHING) -> Any:
    """The estimator that `write_estimator` wrote; any exception means that the bytes are not such.

    UntrustedError where they hold types that are not allowed.
    """
    import skops.io

    own = _audit(data, permissions)
    return skops.io.loads(data, trusted=[*_TRUSTED, *own])


def _audit(data: bytes, permissions: Permissions) -> list[str]:
    """The types of allowed packages in an archive; ValueError for a kind of node or a type that is not allowed."""
    import skops.io
    from skops.io._protocol import PROTOCOL

    with ZipFile(io.BytesIO(data)) as archive:
        _check_sizes(archive, len(data))
        schema = json.loads(archive.read(_SCHEMA))
    if schema.get("protocol") != PROTOCOL:
        raise ValueError(f"skops protocol {schema.get('protocol')!r}, expected {PROTOCOL}")
    strange = {state["__loader__"] for state in _states(schema)} - _LOADERS
    types = {name for name in _functions(schema) if name not in _TRUSTED}
    types |= set(skops.io.get_untrusted_types(data=data)) - set(_TRUSTED)
    own = sorted(name for name in types if permissions.allows(name.rpartition(".")[0]))
    strange |= types - set(own)
    if strange:
        raise UntrustedError(strange)
    for name in own:
        module, _, attribute = name.rpartition(".")
        own_callable(f"{module}:{attribute}", permissions)  # what the module only imported is not its own
    return own


def _check_sizes(archive: ZipFile, size: int) -> None:
    """Raise ValueError for an archive whose parts would need more memory than it has bytes."""
    entries = archive.infolist()
    if any(entry.compress_type != ZIP_STORED for entry in entries):
        raise ValueError("its parts are compressed, which this program does not do")
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("its parts are larger than the archive")
    for entry in entries:
        if entry.filename.endswith(".npy"):
            with archive.open(entry) as part:
                claimed = _claimed_bytes(part)
            if claimed > entry.file_size:
                raise ValueError(f"its array claims {claimed:,} bytes and has {entry.file_size:,}")


def _claimed_bytes(part: IO[bytes]) -> int:
    """The bytes that the header of an array in numpy's format speaks of."""
    version = np.lib.format.read_magic(part)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(part)
    return math.prod(shape) * int(dtype.itemsize)


def _functions(schema: Any) -> Iterator[str]:
    """The functions that an archive names: skops itself would let any ufunc of numpy and scipy pass."""
    for state in _states(schema):
        if state["__loader__"] == "FunctionNode":
            yield f"{state['__module__']}.{state['__class__']}"


@dataclass(slots=True)
class _Parts:
    """The files that skops would put into an archive, by name."""

    files: dict[str, bytes] = field(default_factory=dict)

    def namelist(self) -> Collection[str]:
        """The names so far."""
        return self.files.keys()

    def writestr(self, name: str, data: bytes | memoryview) -> None:
        """Keep a file."""
        self.files[name] = bytes(data)


def _described(estimator: Any) -> tuple[Any, Mapping[str, bytes]]:
    """What `skops.io.dumps` writes, as the schema and the files: its archive would be taken apart at once.

    skops writes the schema with an indent, in pure Python: half of what a small model would cost.
    """
    import skops
    from skops.io._persist import SaveContext, get_state

    parts = _Parts()
    context = SaveContext(zip_file=parts)
    schema = get_state(estimator, context)
    schema["protocol"] = context.protocol
    schema["_skops_version"] = skops.__version__
    # as whoever reads it will see it, and no node is another one's
    return json.loads(json.dumps(schema)), parts.files


def _canonical(schema: Any, files: Mapping[str, bytes]) -> tuple[bytes, frozenset[tuple[str, str, str]]]:
    """The canonical bytes, and the (loader, module, class) of all nodes."""
    parts: dict[bytes, tuple[str, bytes]] = {}
    for state in _states(schema):
        state.pop("__id__", None)
        if isinstance(state.get("file"), str):
            part = _without_padding(files[state["file"]])
            suffix = state["file"].rpartition(".")[2]
            key = hashlib.sha256(part).digest()
            state["file"] = parts.setdefault(key, (f"{len(parts)}.{suffix}", part))[0]
    kinds = set()
    for state in _states(schema):
        _settle(state)
        kinds.add((state["__loader__"], str(state.get("__module__")), str(state.get("__class__"))))
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", compression=ZIP_STORED) as archive:
        for name, part in parts.values():
            archive.writestr(ZipInfo(name), part)
        # Keys stay in their order: skops matches the keys of a dictionary with their types by position.
        archive.writestr(ZipInfo(_SCHEMA), json.dumps(schema, separators=(",", ":")))
    return buffer.getvalue(), frozenset(kinds)


def _settle(state: dict[str, Any]) -> None:
    """Give a node what does not depend on the process or on what the estimator was asked since its fit."""
    if state["__loader__"] == "SetNode":
        state["content"].sort(key=json.dumps)
    if state["__class__"] in ("BallTree", "KDTree") and state["__module__"].startswith("sklearn."):
        for counter in state["content"]["content"][_TREE_COUNTERS]:
            counter["content"] = "0"


def _without_padding(part: bytes) -> bytes:
    """The same file, but the unused bytes of a table of records (the nodes of a tree) are 0, not chance."""
    if not part.startswith(b"\x93NUMPY") or b"{'descr': [" not in part[:32]:
        return part  # its values have one type
    records = np.load(io.BytesIO(part), allow_pickle=False)
    if records.ndim != 1:
        return part
    clean = np.zeros(records.shape, records.dtype)  # zeros_like would copy field by field and skip the gaps
    for name in records.dtype.names:
        clean[name] = records[name]
    return part[: len(part) - clean.nbytes] + clean.tobytes()


def _states(schema: Any) -> Iterator[dict[str, Any]]:
    """Every node of a skops schema, parents before children, in the order of the document."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("__loader__"), str):
                yield value
            waiting += reversed([one for one in value.values() if isinstance(one, dict | list)])
        elif isinstance(value, list):
            waiting += reversed([one for one in value if isinstance(one, dict | list)])
