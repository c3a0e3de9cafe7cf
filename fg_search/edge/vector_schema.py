"""The vectors that a collection accepts, and the check of every vector on its way to the engine.

Qdrant Edge silently stores NaN, infinities and repeated sparse indices, so each vector is checked here before it is
written or used in a search.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.errors import UnsupportedError

DEFAULT_VECTOR_NAME = ""
_MAX_FLOAT32 = float(np.finfo(np.float32).max)
_MAX_INDEX = 2**32 - 1
_MAX_SIZE = 65536
# forbidden in names of collections and vectors, which become folder names; the server refuses the same characters
INVALID_NAME_CHARS = ("<", ">", ":", '"', "/", "\\", "|", "?", "*", "\0", "\x1f")
VECTORS = (
    models.SparseVector,
    list,
    np.ndarray,
)  # plain types to test for first: isinstance on the pydantic models below is slow
_INFERENCE = (models.Document, models.Image, models.InferenceObject)


@dataclass(frozen=True)
class VectorSchema:
    """The named vectors of one collection.

    Attributes:
        dense: Name → size of each dense vector and multivector.
        multi: Names of the multivectors.
        sparse: Names of the sparse vectors.
    """

    dense: Mapping[str, int]
    multi: frozenset[str]
    sparse: frozenset[str]

    @classmethod
    def from_config(
        cls,
        vectors: models.VectorParams | Mapping[str, models.VectorParams] | None,
        sparse_vectors: Mapping[str, models.SparseVectorParams] | None,
    ) -> VectorSchema:
        """Read the schema from a collection's configuration."""
        if isinstance(vectors, models.VectorParams):
            vectors = {DEFAULT_VECTOR_NAME: vectors}
        vectors = vectors or {}
        return cls(
            dense={name: params.size for name, params in vectors.items()},
            multi=frozenset(name for name, params in vectors.items() if params.multivector_config),
            sparse=frozenset(sparse_vectors or ()),
        )

    def check_names(self, names: Sequence[str]) -> None:
        """Refuse a vector name that the collection does not have."""
        for name in names:
            if name not in self.dense and name not in self.sparse:
                known = ", ".join(repr(known) for known in [*self.dense, *sorted(self.sparse)]) or "no vectors"
                raise ValueError(f"Wrong input: Not existing vector name error: {name}; the collection has {known}")

    def to_edge(self, vector: Any, name: str, where: str) -> edge.NamedVector:
        """Check one vector and convert it.

        Args:
            vector: Dense (list or 1-d array), sparse, or multivector (list of lists or 2-d array).
            name: Name of the vector in the collection.
            where: Owner of the vector for the error message, e.g. ``"point 7"``.

        Raises:
            ValueError: Unknown name, wrong kind or size, NaN, infinity, malformed sparse vector.
        """
        if name not in self.dense and name not in self.sparse:
            self.check_names([name])
        if not isinstance(vector, VECTORS) and isinstance(vector, _INFERENCE):
            raise UnsupportedError(
                f"{where}, vector {name!r}: EdgeClient does not embed {type(vector).__name__}s; encode it first"
            )
        if isinstance(vector, models.SparseVector) != (name in self.sparse):
            raise ValueError(
                f"Wrong input: Conversion between sparse and regular vectors failed for vector {name!r} of {where}"
            )
        if isinstance(vector, models.SparseVector):
            return _sparse(vector, name, where)
        return _dense(vector, self.dense[name], name in self.multi, f"for vector {name!r} of {where}")


def _sparse(vector: models.SparseVector, name: str, where: str) -> edge.SparseVector:
    indices, values = vector.indices, vector.values
    problem = None
    try:
        converted = edge.SparseVector(indices, values)
    except OverflowError:
        problem = f"Indices must be between 0 and {_MAX_INDEX}"
    if len(indices) != len(values):
        problem = "Indices and values must have the same length"
    elif len(set(indices)) != len(indices):
        problem = "Indices must be unique"
    elif not _are_float32(values):
        problem = "Values must be finite numbers"
    if problem is not None:
        raise ValueError(f"Wrong input: {problem}: sparse vector {name!r} of {where}")
    return converted


def _are_float32(values: Sequence[float]) -> bool:
    if math.hypot(*values) <= _MAX_FLOAT32:  # the norm bounds every value and is NaN if one of them is; one pass in C
        return True
    return all(-_MAX_FLOAT32 <= value <= _MAX_FLOAT32 for value in values)


def _dense(vector: Any, size: int, is_multi: bool, where: str) -> list[float] | list[list[float]]:
    # the engine reads a list twice as fast as an array (11 vs 24 µs for 384 numbers)
    numbers = vector.tolist() if type(vector) is np.ndarray and vector.dtype == np.float32 else vector
    if type(numbers) is list and not is_multi and len(numbers) == size and _is_finite(numbers):
        return numbers
    try:
        with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite and is reported below
            array = np.asarray(vector, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Wrong input: not a vector of numbers {where}") from error
    if array.size == 0:
        raise ValueError(f"Wrong input: Dense vector must not be empty {where}")
    if array.ndim != 1 + is_multi:
        shape = "a list of vectors" if is_multi else "one-dimensional"
        raise ValueError(f"Wrong input: Dense vector must be {shape} {where}, got shape {array.shape}")
    if array.shape[-1] != size:
        raise ValueError(f"Wrong input: Vector dimension error: expected dim: {size}, got {array.shape[-1]} {where}")
    if not np.isfinite(array).all():
        raise ValueError(f"Wrong input: Vector contains NaN or infinite values {where}")
    return cast("list[float] | list[list[float]]", vector if type(vector) is list else array.tolist())


def _is_finite(vector: list[float]) -> bool:
    """Whether the norm proves that all numbers fit into float32: 2 µs for 384 numbers, an array check takes 8 µs."""
    try:
        return math.hypot(*vector) <= _MAX_FLOAT32
    except (TypeError, ValueError, OverflowError):
        return False


def check_vector_config(
    vectors: models.VectorParams | Mapping[str, models.VectorParams] | None,
    sparse_vectors: Mapping[str, models.SparseVectorParams] | None,
) -> None:
    """Refuse vector names and sizes that the server refuses."""
    named = {} if vectors is None else vectors
    if isinstance(named, models.VectorParams):
        named = {DEFAULT_VECTOR_NAME: named}
    for name, params in named.items():
        _check_vector_name(name)
        if not 1 <= params.size <= _MAX_SIZE:
            raise ValueError(f"Vector size {params.size} is invalid. Must be from 1 to {_MAX_SIZE}.")
    for name in sparse_vectors or ():
        _check_vector_name(name)
        if name == DEFAULT_VECTOR_NAME:
            raise ValueError("Sparse vector name cannot be empty")
        if name in named:
            raise ValueError(f"Vector name {name!r} is given to a dense and to a sparse vector")


def _check_vector_name(name: str) -> None:
    """Refuse a name that cannot name a folder: the engine keeps each vector in a folder of its own."""
    if len(name.encode()) > 200:
        raise ValueError(f"Invalid vector name {name!r}: must be at most 200 bytes long")
    for char in INVALID_NAME_CHARS:
        if char in name:
            raise ValueError(f"Invalid vector name {name!r}: cannot contain {char!r} char")
    if name in (".", ".."):
        raise ValueError(f"Invalid vector name {name!r}")
