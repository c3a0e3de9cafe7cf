"""Changes of a collection's settings: its vectors, and the engine's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel
from qdrant_client import models

from fg_search.edge.collection_settings import CollectionSettings, Pending, dense_params, has_vectors
from fg_search.edge.errors import UnsupportedError
from fg_search.edge.vector_schema import check_vector_config

_Model = TypeVar("_Model", bound=BaseModel)
VectorNameConfig = models.DenseVectorNameConfig | models.SparseVectorNameConfig
# arguments of with_parameters
PARAMETERS = (
    "optimizers_config",
    "collection_params",
    "vectors_config",
    "hnsw_config",
    "quantization_config",
    "sparse_vectors_config",
)


def _merged(old: _Model | None, diff: _Model | None) -> _Model | None:
    """Return the old parameters with those that the diff sets; nested parameters are merged too."""
    if old is None or diff is None:
        return old if diff is None else diff
    changes = {}
    for name in type(diff).model_fields:
        value = getattr(diff, name)
        if value is not None:
            before = getattr(old, name)
            is_nested = isinstance(value, BaseModel) and type(before) is type(value)
            changes[name] = _merged(before, value) if is_nested else value
    return old.model_copy(update=changes)


# --- vector names --------------------------------------------------------------------------------------------


def _named(config: models.CreateCollection, name: str) -> models.VectorParams | models.SparseVectorParams | None:
    return dense_params(config).get(name) or (config.sparse_vectors or {}).get(name)


def _params(name_config: Any) -> models.VectorParams | models.SparseVectorParams:
    if isinstance(name_config, models.DenseVectorNameConfig):
        dense = name_config.dense
        return models.VectorParams(
            size=dense.size,
            distance=dense.distance,
            multivector_config=dense.multivector_config,
            datatype=None if dense.datatype is None else models.Datatype(dense.datatype.value),
        )
    if isinstance(name_config, models.SparseVectorNameConfig):
        sparse = name_config.sparse
        datatype = None if sparse.datatype is None else models.Datatype(sparse.datatype.value)
        return models.SparseVectorParams(
            modifier=sparse.modifier, index=None if datatype is None else models.SparseIndexParams(datatype=datatype)
        )
    raise ValueError(f"Unsupported vector name config type: {type(name_config)}")


def _is_same_space(old: Any, new: Any) -> bool:
    """Whether two vectors compare in the same way; how they are stored does not count."""
    if type(old) is not type(new):
        return False
    if isinstance(old, models.SparseVectorParams):
        return (old.modifier or models.Modifier.NONE) == (new.modifier or models.Modifier.NONE)
    names = ("size", "distance", "multivector_config")
    return all(getattr(old, name) == getattr(new, name) for name in names)


def with_vector(settings: CollectionSettings, name: str, name_config: Any) -> CollectionSettings:
    """Add a vector; one that is there already, with the same parameters, is left as it is.

    Raises:
        ValueError: The name or the size is invalid, or another vector has the name.
    """
    config, params = settings.config, _params(name_config)
    existing = _named(config, name)
    if existing is not None:
        if not _is_same_space(existing, params):
            raise ValueError(f"Vector {name} already exists with a different configuration")
        return settings
    if isinstance(params, models.VectorParams):
        check_vector_config({name: params}, None)
        changes: dict[str, Any] = {"vectors": {**dense_params(config), name: params}}
    else:
        check_vector_config(None, {name: params})
        changes = {"sparse_vectors": {**(config.sparse_vectors or {}), name: params}}
    is_first = not has_vectors(config)  # parameters changed before had to wait for it
    return replace(settings, config=config.model_copy(update=changes), pending=Pending(added=(name,), reloads=is_first))


def without_vector(settings: CollectionSettings, name: str) -> CollectionSettings:
    """Remove a vector, if there is one of the name.

    Raises:
        ValueError: It is the unnamed vector of a collection without named ones.
    """
    config = settings.config
    if _named(config, name) is None:
        return settings
    if isinstance(config.vectors, models.VectorParams) and name == "":
        raise ValueError("Cannot delete the unnamed vector when it is the only dense vector in the collection")
    changes = {
        key: {kept: params for kept, params in vectors.items() if kept != name}
        for key, vectors in (("vectors", config.vectors), ("sparse_vectors", config.sparse_vectors))
        if isinstance(vectors, Mapping) and name in vectors
    }
    return replace(settings, config=config.model_copy(update=changes), pending=Pending(dropped=(name,)))


# --- parameters ----------------------------------------------------------------------------------------------


def _quantization(old: Any, diff: Any) -> Any:
    if diff is None:
        return old
    return None if isinstance(diff, models.Disabled) else diff


def _dense_diff(params: models.VectorParams, diff: models.VectorParamsDiff) -> models.VectorParams:
    changes = {
        "hnsw_config": _merged(params.hnsw_config, diff.hnsw_config),
        "quantization_config": _quantization(params.quantization_config, diff.quantization_config),
        "on_disk": params.on_disk if diff.on_disk is None else diff.on_disk,
        "memory": params.memory if diff.memory is None else diff.memory,
    }
    return params.model_copy(update=changes)


def _vectors(config: models.CreateCollection, diffs: Mapping[str, models.VectorParamsDiff]) -> Any:
    vectors = dense_params(config)
    for name, diff in diffs.items():
        if name not in vectors:
            raise ValueError(f"Wrong input: Not existing vector name error: {name}")
        vectors[name] = _dense_diff(vectors[name], diff)
    return vectors[""] if isinstance(config.vectors, models.VectorParams) else vectors


def _sparse_vectors(config: models.CreateCollection, diffs: Mapping[str, models.SparseVectorParams]) -> Any:
    vectors = dict(config.sparse_vectors or {})
    for name, diff in diffs.items():
        if name not in vectors:
            raise ValueError(f"Vector {name} does not exist in the collection")
        vectors[name] = _merged(vectors[name], diff) or diff
    return vectors


def _collection(config: models.CreateCollection, diff: models.CollectionParamsDiff) -> dict[str, Any]:
    for name in ("replication_factor", "write_consistency_factor", "read_fan_out_factor", "read_fan_out_delay_ms"):
        value = getattr(diff, name)
        if value not in (None, 0 if name.startswith("read") else 1):
            raise UnsupportedError(
                f"update_collection(collection_params={name}={value!r}): not supported by Qdrant Edge"
            )
    return {
        "on_disk_payload": config.on_disk_payload if diff.on_disk_payload is None else diff.on_disk_payload,
        "payload": _merged(config.payload, diff.payload),
        "id_tracker": _merged(config.id_tracker, diff.id_tracker),
    }


def with_parameters(
    settings: CollectionSettings,
    *,
    optimizers_config: models.OptimizersConfigDiff | None = None,
    collection_params: models.CollectionParamsDiff | None = None,
    vectors_config: Mapping[str, models.VectorParamsDiff] | None = None,
    hnsw_config: models.HnswConfigDiff | None = None,
    quantization_config: Any = None,
    sparse_vectors_config: Mapping[str, models.SparseVectorParams] | None = None,
) -> CollectionSettings:
    """Change parameters; those that are None stay as they are.

    Raises:
        ValueError: There is no such vector.
        UnsupportedError: A parameter is for clusters.
    """
    config = settings.config
    changes: dict[str, Any] = {
        "optimizers_config": _merged(config.optimizers_config, optimizers_config),
        "hnsw_config": _merged(config.hnsw_config, hnsw_config),
        "quantization_config": _quantization(config.quantization_config, quantization_config),
        "vectors": _vectors(config, vectors_config or {}),
        "sparse_vectors": _sparse_vectors(config, sparse_vectors_config or {}) or config.sparse_vectors,
    }
    if collection_params is not None:
        changes |= _collection(config, collection_params)
    changed = config.model_copy(update=changes)
    return settings if changed == config else replace(settings, config=changed, pending=Pending(reloads=True))


def needs_copy(old: CollectionSettings, new: CollectionSettings) -> bool:
    """Whether the engine cannot load the collection with the new settings, so that its points have to be copied."""
    before, after = old.config, new.config
    pairs: list[tuple[Any, Any]] = [(before, after)]
    pairs += [(params, dense_params(after).get(name)) for name, params in dense_params(before).items()]
    if any(one.quantization_config is not None and other.quantization_config is None for one, other in pairs if other):
        return True
    sparse = after.sparse_vectors or {}
    return any(
        not _is_same_space(params, sparse[name]) or _datatype(params) != _datatype(sparse[name])
        for name, params in (before.sparse_vectors or {}).items()
        if name in sparse
    )


def _datatype(params: models.SparseVectorParams) -> models.Datatype | None:
    return None if params.index is None else params.index.datatype
