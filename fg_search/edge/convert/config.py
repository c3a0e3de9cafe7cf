"""Collection and payload-index settings of ``qdrant_client.models`` as those of Qdrant Edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.convert.filters import dispatch
from fg_search.edge.errors import UnsupportedError

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
_MEMORY = {
    models.Memory.COLD: edge.Memory.Cold,
    models.Memory.CACHED: edge.Memory.Cached,
    models.Memory.PINNED: edge.Memory.Pinned,
}
_PAYLOAD_SCHEMA = {kind: getattr(edge.PayloadSchemaType, kind.value.capitalize()) for kind in models.PayloadSchemaType}
# the engine's enums are not hashable, their text is the name
_PAYLOAD_SCHEMA_BY_NAME = {kind.value: kind for kind in models.PayloadSchemaType}


def _from(table: Mapping[Any, Any], value: Any, what: str) -> Any:
    """Look up the engine's counterpart of an enum member; None stays None."""
    if value is None:
        return None
    if value not in table:
        raise UnsupportedError(f"{what} {value.value!r} is not supported by Qdrant Edge")
    return table[value]


def _named(engine_enum: Any, value: Any, what: str) -> Any:
    """Return the engine's member whose name is the value in CamelCase: ``one_bit`` is ``OneBit``."""
    if value is None:
        return None
    name = "".join(part.capitalize() for part in str(value.value).split("_"))
    if not hasattr(engine_enum, name):
        raise UnsupportedError(f"{what} {value.value!r} is not supported by Qdrant Edge")
    return getattr(engine_enum, name)


def _memory(value: models.Memory | None) -> Any:
    return _from(_MEMORY, value, "memory placement")


_BITS = {
    "bits1": "Bits1",
    "bits1_5": "Bits1_5",
    "bits2": "Bits2",
    "bits4": "Bits4",
    "bits8": "Bits8",
}


def _turbo(config: models.TurboQuantQuantizationConfig) -> edge.TurboQuantQuantizationConfig:
    bits = None if config.bits is None else getattr(edge.TurboQuantBitSize, _BITS[config.bits.value])
    return edge.TurboQuantQuantizationConfig(config.always_ram, bits, _memory(config.memory))


_QUANTIZATIONS: dict[type, Callable[[Any], edge.QuantizationConfigType]] = {
    models.ScalarQuantization: lambda q: edge.ScalarQuantizationConfig(
        edge.ScalarType.Int8, q.scalar.quantile, q.scalar.always_ram, _memory(q.scalar.memory)
    ),
    models.ProductQuantization: lambda q: edge.ProductQuantizationConfig(
        _named(edge.CompressionRatio, q.product.compression, "compression"),
        q.product.always_ram,
        _memory(q.product.memory),
    ),
    models.BinaryQuantization: lambda q: edge.BinaryQuantizationConfig(
        q.binary.always_ram,
        _named(edge.BinaryQuantizationEncoding, q.binary.encoding, "binary encoding"),
        _named(edge.BinaryQuantizationQueryEncoding, q.binary.query_encoding, "binary query encoding"),
        _memory(q.binary.memory),
    ),
    models.TurboQuantization: lambda q: _turbo(q.turbo),
}


def _quantization(config: Any) -> edge.QuantizationConfigType | None:
    return None if config is None else dispatch(_QUANTIZATIONS, config, "quantization")(config)


def _hnsw(config: models.HnswConfigDiff | None) -> edge.HnswIndexConfig | None:
    if config is None:
        return None
    settings = {**_HNSW_DEFAULTS, **config.model_dump(exclude_none=True, exclude={"memory"})}
    return edge.HnswIndexConfig(**settings, memory=_memory(config.memory))


def _dense(params: models.VectorParams) -> edge.EdgeVectorParams:
    return edge.EdgeVectorParams(
        size=params.size,
        distance=_from(_DISTANCES, params.distance, "distance"),
        on_disk=params.on_disk,
        multivector_config=None
        if params.multivector_config is None
        else edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
        datatype=_from(_DATATYPES, params.datatype, "datatype"),
        quantization_config=_quantization(params.quantization_config),
        hnsw_config=_hnsw(params.hnsw_config),
        memory=_memory(params.memory),
    )


def _sparse(params: models.SparseVectorParams) -> edge.EdgeSparseVectorParams:
    index = params.index or models.SparseIndexParams()
    return edge.EdgeSparseVectorParams(
        full_scan_threshold=index.full_scan_threshold,
        on_disk=index.on_disk,
        modifier=edge.Modifier.Idf if params.modifier == models.Modifier.IDF else None,
        datatype=_from(_DATATYPES, index.datatype, "datatype"),
        memory=_memory(index.memory),
    )


def convert_config(config: models.CreateCollection) -> edge.EdgeConfig:
    """Convert all settings of a new collection."""
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
        payload_memory=None if config.payload is None else _memory(config.payload.memory),
        id_tracker_memory=None if config.id_tracker is None else _memory(config.id_tracker.memory),
    )


# --- payload indexes -------------------------------------------------------------------------------------

_INDEX_PARAMS: dict[type, Any] = {
    models.KeywordIndexParams: edge.KeywordIndexParams,
    models.IntegerIndexParams: edge.IntegerIndexParams,
    models.FloatIndexParams: edge.FloatIndexParams,
    models.GeoIndexParams: edge.GeoIndexParams,
    models.BoolIndexParams: edge.BoolIndexParams,
    models.DatetimeIndexParams: edge.DatetimeIndexParams,
    models.UuidIndexParams: edge.UuidIndexParams,
    models.TextIndexParams: edge.TextIndexParams,
}


def _stopwords(value: models.Language | models.StopwordsSet) -> Any:
    if isinstance(value, models.Language):
        return _named(edge.Language, value, "stop words of language")
    languages = {_named(edge.Language, one, "stop words of language") for one in value.languages or ()}
    return edge.StopwordsSet(languages, set(value.custom or ()))


def _stemmer(value: Any) -> Any:
    if isinstance(value, models.DisabledStemmerParams):
        return edge.DisabledStemmer()
    return edge.SnowballParams(_named(edge.SnowballLanguage, value.language, "stemmer language"))


_INDEX_SETTINGS: dict[str, Callable[[Any], Any]] = {
    "memory": _memory,
    "tokenizer": lambda value: _named(edge.TokenizerType, value, "tokenizer"),
    "stopwords": _stopwords,
    "stemmer": _stemmer,
    "scoring": lambda value: value if isinstance(value, bool) else edge.TextScoringParams(),
}


def parse_index_schema(schema: Any) -> models.PayloadSchemaType | models.PayloadSchemaParams:
    """Read the type of a payload index from any of the forms that ``create_payload_index`` takes."""
    if isinstance(schema, str):
        try:
            return models.PayloadSchemaType(schema)
        except ValueError:
            known = ", ".join(kind.value for kind in models.PayloadSchemaType)
            raise ValueError(f"Unknown payload index type {schema!r}; known are {known}") from None
    if type(schema) not in _INDEX_PARAMS:
        raise ValueError(f"field_schema must be a payload index type or its parameters, got {schema!r}")
    return schema  # type: ignore[no-any-return]


def convert_index_schema(schema: models.PayloadSchemaType | models.PayloadSchemaParams) -> Any:
    """Convert the type of a payload index, or its parameters."""
    if isinstance(schema, models.PayloadSchemaType):
        return _PAYLOAD_SCHEMA[schema]
    settings = {
        name: _INDEX_SETTINGS.get(name, lambda same: same)(value)
        for name, value in schema
        if name != "type" and value is not None
    }
    return _INDEX_PARAMS[type(schema)](**settings)


# --- back from the engine --------------------------------------------------------------------------------


def _schema_from_edge(
    indexes: Mapping[str, edge.PayloadIndexInfo], known: Mapping[str, models.PayloadSchemaParams]
) -> dict[str, models.PayloadIndexInfo]:
    infos = {}
    for field, info in indexes.items():
        kind = _PAYLOAD_SCHEMA_BY_NAME[str(info.data_type).rsplit(".", 1)[-1].lower()]
        params = known.get(field)
        if params is not None and params.type.value != kind.value:
            params = None  # the engine is right: the process ended before the new parameters were noted
        infos[field] = models.PayloadIndexInfo(data_type=kind, params=params, points=info.points)
    return infos


def info_from_edge(
    info: edge.ShardInfo, config: models.CreateCollection, known: Mapping[str, models.PayloadSchemaParams]
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
        payload_schema=_schema_from_edge(info.payload_schema, known),
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
