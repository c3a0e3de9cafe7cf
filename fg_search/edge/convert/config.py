"""Collection settings of ``qdrant_client.models`` as those of Qdrant Edge, and a collection's description back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.collection_settings import dense_params
from fg_search.edge.convert.counterparts import convert_memory, dispatch, enum_member, enum_named
from fg_search.edge.convert.payload_indexes import payload_schema_from_edge

_HNSW_DEFAULTS = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000}
_OPTIMIZER_DEFAULTS = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "indexing_threshold": 20_000,
    "flush_interval_sec": 5,
}
_OPTIMIZER_SETTINGS = (
    "deleted_threshold",
    "vacuum_min_vector_number",
    "default_segment_number",
    "max_segment_size",
    "indexing_threshold",
    "prevent_unoptimized",
)
_DISTANCES = {
    models.Distance.COSINE: edge.Distance.Cosine,
    models.Distance.EUCLID: edge.Distance.Euclid,
    models.Distance.DOT: edge.Distance.Dot,
    models.Distance.MANHATTAN: edge.Distance.Manhattan,
}
_DATATYPES = {
    models.Datatype.FLOAT32: edge.VectorStorageDatatype.Float32,
    models.Datatype.FLOAT16: edge.VectorStorageDatatype.Float16,
    models.Datatype.UINT8: edge.VectorStorageDatatype.Uint8,
    models.Datatype.TURBO8: edge.VectorStorageDatatype.Turbo8,
    models.Datatype.TURBO16: edge.VectorStorageDatatype.Turbo16,
}
_BITS = {
    "bits1": "Bits1",
    "bits1_5": "Bits1_5",
    "bits2": "Bits2",
    "bits4": "Bits4",
    "bits8": "Bits8",
}


def _turbo(config: models.TurboQuantQuantizationConfig) -> edge.TurboQuantQuantizationConfig:
    bits = None if config.bits is None else getattr(edge.TurboQuantBitSize, _BITS[config.bits.value])
    return edge.TurboQuantQuantizationConfig(config.always_ram, bits, convert_memory(config.memory))


_QUANTIZATIONS: dict[type, Callable[[Any], edge.QuantizationConfigType]] = {
    models.ScalarQuantization: lambda q: edge.ScalarQuantizationConfig(
        edge.ScalarType.Int8, q.scalar.quantile, q.scalar.always_ram, convert_memory(q.scalar.memory)
    ),
    models.ProductQuantization: lambda q: edge.ProductQuantizationConfig(
        enum_named(edge.CompressionRatio, q.product.compression, "compression"),
        q.product.always_ram,
        convert_memory(q.product.memory),
    ),
    models.BinaryQuantization: lambda q: edge.BinaryQuantizationConfig(
        q.binary.always_ram,
        enum_named(edge.BinaryQuantizationEncoding, q.binary.encoding, "binary encoding"),
        enum_named(edge.BinaryQuantizationQueryEncoding, q.binary.query_encoding, "binary query encoding"),
        convert_memory(q.binary.memory),
    ),
    models.TurboQuantization: lambda q: _turbo(q.turbo),
}


def _quantization(config: Any) -> edge.QuantizationConfigType | None:
    return None if config is None else dispatch(_QUANTIZATIONS, config, "quantization")(config)


def _hnsw(config: models.HnswConfigDiff | None) -> edge.HnswIndexConfig | None:
    if config is None:
        return None
    settings = {**_HNSW_DEFAULTS, **config.model_dump(exclude_none=True, exclude={"memory"})}
    return edge.HnswIndexConfig(**settings, memory=convert_memory(config.memory))


def _dense(params: models.VectorParams) -> edge.EdgeVectorParams:
    return edge.EdgeVectorParams(
        size=params.size,
        distance=enum_member(_DISTANCES, params.distance, "distance"),
        on_disk=params.on_disk,
        multivector_config=None
        if params.multivector_config is None
        else edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
        datatype=enum_member(_DATATYPES, params.datatype, "datatype"),
        quantization_config=_quantization(params.quantization_config),
        hnsw_config=_hnsw(params.hnsw_config),
        memory=convert_memory(params.memory),
    )


def _sparse(params: models.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    index = params.index or models.SparseIndexParams()
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=index.full_scan_threshold,
        on_disk=index.on_disk,
        modifier=edge.Modifier.Idf if params.modifier == models.Modifier.IDF else None,
        datatype=enum_member(_DATATYPES, index.datatype, "datatype"),
        memory=convert_memory(index.memory),
    )


def convert_config(config: models.CreateCollection) -> edge.EdgeConfig:
    """Convert the settings of a new collection."""
    vectors = config.vectors
    dense = (
        _dense(vectors)
        if isinstance(vectors, models.VectorParams)
        else {name: _dense(params) for name, params in (vectors or {}).items()}
    )
    optimizers = config.optimizers_config
    return edge.EdgeConfig(
        vectors=dense,
        sparse_vectors={name: _sparse(params) for name, params in (config.sparse_vectors or {}).items()},
        on_disk_payload=config.on_disk_payload,
        hnsw_config=_hnsw(config.hnsw_config),
        quantization_config=_quantization(config.quantization_config),
        optimizers=None
        if optimizers is None
        else edge.EdgeOptimizersConfig(**{name: getattr(optimizers, name) for name in _OPTIMIZER_SETTINGS}),
        payload_memory=None if config.payload is None else convert_memory(config.payload.memory),
        id_tracker_memory=None if config.id_tracker is None else convert_memory(config.id_tracker.memory),
    )


def create_vector(name: str, config: models.CreateCollection) -> edge.UpdateOperation:
    """Return the operation that adds a named vector of the settings to a collection."""
    if name in (config.sparse_vectors or {}):
        sparse = _sparse((config.sparse_vectors or {})[name])
        return edge.UpdateOperation.create_sparse_vector(name, sparse.modifier, sparse.datatype)
    dense = _dense(dense_params(config)[name])
    return edge.UpdateOperation.create_dense_vector(
        name, dense.size, dense.distance, dense.multivector_config, dense.datatype
    )


def info_from_edge(
    info: edge.ShardInfo, config: models.CreateCollection, index_params: Mapping[str, models.PayloadSchemaParams]
) -> models.CollectionInfo:
    """Describe a collection as ``QdrantClient.get_collection`` does."""
    optimizers = config.optimizers_config
    hnsw = config.hnsw_config
    return models.CollectionInfo(
        status=models.CollectionStatus.GREEN,
        optimizer_status=models.OptimizersStatusOneOf.OK,
        indexed_vectors_count=info.indexed_vectors_count,
        points_count=info.points_count,
        segments_count=info.segments_count,
        payload_schema=payload_schema_from_edge(info.payload_schema, index_params),
        config=models.CollectionConfig(
            params=models.CollectionParams(
                vectors=config.vectors,
                sparse_vectors=config.sparse_vectors,
                shard_number=1,
                replication_factor=1,
                on_disk_payload=config.on_disk_payload,
                payload=config.payload,
                id_tracker=config.id_tracker,
            ),
            hnsw_config=models.HnswConfig(**{**_HNSW_DEFAULTS, **(hnsw.model_dump(exclude_none=True) if hnsw else {})}),
            optimizer_config=models.OptimizersConfig(
                **{**_OPTIMIZER_DEFAULTS, **(optimizers.model_dump(exclude_none=True) if optimizers else {})}
            ),
            wal_config=models.WalConfig(wal_capacity_mb=32, wal_segments_ahead=0),
            quantization_config=config.quantization_config,
            metadata=config.metadata,
        ),
    )
