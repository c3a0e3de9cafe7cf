"""Schema of an index in Qdrant: vectors, payload indexes, and the metadata of its collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from qdrant_client import models

from fg_search.engine.port import PayloadIndex, PayloadIndexes
from fg_search.errors import FormatVersionError, IndexNotFoundError
from fg_search.layout.filterable import filterable_indexes
from fg_search.layout.keys import (
    BASE_VECTOR,
    CONFIDENCE_KEY,
    CONFUSION_KEY,
    DIFFER_KEY,
    FAMILIARITY_KEY,
    FEATURES_VECTOR,
    GIVEN_LABEL_KEY,
    HISTORY_NUMBER_KEY,
    HISTORY_VERSION_KEY,
    HISTORY_WAITING_KEY,
    ITEMS_SCORED_KEY,
    LABEL_KEY,
    LABELS_SCORED_KEY,
    METADATA_KEY,
    MODEL_KEY,
    OPINION_ON_KEY,
    REVIEW_SCORE_KEY,
    REVIEWED_ACTION_KEY,
    REVIEWER_KEY,
    SET_ASIDE_KEY,
    SUGGESTED_KEY,
    UNREAD_KEY,
    review_key,
)
from fg_search.layout.settings import IndexSettings, Quantization
from fg_search.layout.source import Source

SCHEMA_VERSION = 3
_READABLE = (2, SCHEMA_VERSION)  # 2: group confidences and codes as lists of numbers in each payload


@dataclass(frozen=True)
class IndexMetadata:
    """What a collection remembers of its encoder and its layout.

    Attributes:
        fingerprint: Fingerprint of the encoder. Vectors of any other encoder are refused.
        base: Fingerprint of the base model alone. Another head on the same base model needs no text encoded again.
        model_name: Name of the base model, for people to read.
        encoder: Folder of the saved encoder, ``None`` if it was never saved.
        supervision: How the head was trained: ``"labels"``, ``"attributes"``, ``"pairs"`` or ``"clusters"``.
        dimension: Dimension of the base embeddings.
        groups: Number of feature groups, G.
        codes_per_group: Number of codes per group, K.
        settings: Settings the index was made with.
        set_aside: Items were set aside if their label is wrong with at least this probability. ``None`` if none were.
        schema: Version of this schema.
        source: Where an adopted collection has vector, text and label. ``None`` for one that the index has made.
    """

    fingerprint: str
    base: str
    model_name: str
    encoder: str | None
    supervision: str
    dimension: int
    groups: int
    codes_per_group: int
    settings: IndexSettings = field(default_factory=IndexSettings)
    set_aside: float | None = None
    schema: int = SCHEMA_VERSION
    source: Source | None = None

    @property
    def has_base(self) -> bool:
        """Whether base embeddings are stored."""
        return self.settings.base_vectors != "none"

    def to_payload(self) -> dict[str, Any]:
        """Metadata of the Qdrant collection."""
        stored = asdict(self)
        if self.source is None:
            del stored["source"]
        return {METADATA_KEY: stored}

    @classmethod
    def of_collection(cls, name: str, info: models.CollectionInfo) -> IndexMetadata:
        """Read the metadata of a collection.

        Raises:
            IndexNotFoundError: If the collection was not made by fg_search.
            FormatVersionError: If this release cannot read its schema.
        """
        stored: Mapping[str, Any] | None = (info.config.metadata or {}).get(METADATA_KEY)
        if stored is None:
            raise IndexNotFoundError(
                f"the collection {name!r} was not made by fg_search (it has no {METADATA_KEY!r} metadata); "
                "choose another collection name"
            )
        if stored["schema"] not in _READABLE:
            remedy = "upgrade fg_search" if stored["schema"] > SCHEMA_VERSION else "add the items to a new index"
            raise FormatVersionError(
                f"the collection {name!r} has schema {stored['schema']}, this release reads "
                f"{' and '.join(map(str, _READABLE))}; {remedy}"
            )
        values = {attribute.name: stored[attribute.name] for attribute in fields(cls) if attribute.name in stored}
        source = values.get("source")
        return cls(
            **{
                **values,
                "settings": IndexSettings(**stored["settings"]),
                "source": None if source is None else Source(**source),
            }
        )


def collection_options(metadata: IndexMetadata) -> dict[str, Any]:
    """Arguments of ``create_collection`` for a new index."""
    settings = metadata.settings
    base = models.VectorParams(
        size=metadata.dimension,
        distance=models.Distance.COSINE,
        datatype=models.Datatype.FLOAT16 if settings.base_vectors == "float16" else None,
        quantization_config=_QUANTIZATIONS[settings.quantization],
        on_disk=True if settings.on_disk else None,
        hnsw_config=None if settings.payload_m is None else models.HnswConfigDiff(m=0, payload_m=settings.payload_m),
    )
    cluster = {
        "shard_number": settings.shards,
        "replication_factor": settings.replicas,
        "write_consistency_factor": settings.write_consistency,
    }
    return {
        "vectors_config": {BASE_VECTOR: base} if metadata.has_base else {},
        "sparse_vectors_config": {FEATURES_VECTOR: models.SparseVectorParams(index=_features_index(settings))},
        "metadata": metadata.to_payload(),
        **{name: value for name, value in cluster.items() if value is not None},
    }


def _features_index(settings: IndexSettings) -> models.SparseIndexParams | None:
    datatype = None if settings.feature_vectors == "float32" else models.Datatype(settings.feature_vectors)
    on_disk = True if settings.features_on_disk else None
    if datatype is None and on_disk is None:
        return None
    return models.SparseIndexParams(datatype=datatype, on_disk=on_disk)


def payload_indexes(metadata: IndexMetadata) -> PayloadIndexes:
    """Payload indexes that filters and orderings need. A server in strict mode refuses to filter without one."""
    settings = metadata.settings
    indexes: dict[str, PayloadIndex] = {
        CONFIDENCE_KEY: models.PayloadSchemaType.FLOAT,
        FAMILIARITY_KEY: models.PayloadSchemaType.FLOAT,
        LABEL_KEY: models.PayloadSchemaType.KEYWORD,
        GIVEN_LABEL_KEY: models.PayloadSchemaType.KEYWORD,
        MODEL_KEY: models.PayloadSchemaType.KEYWORD,
        REVIEWED_ACTION_KEY: models.PayloadSchemaType.KEYWORD,
        REVIEWER_KEY: models.PayloadSchemaType.KEYWORD,
        OPINION_ON_KEY: models.PayloadSchemaType.INTEGER,
        DIFFER_KEY: models.PayloadSchemaType.BOOL,
        HISTORY_VERSION_KEY: models.PayloadSchemaType.INTEGER,
        HISTORY_NUMBER_KEY: models.PayloadSchemaType.INTEGER,
        HISTORY_WAITING_KEY: models.PayloadSchemaType.BOOL,
        UNREAD_KEY: models.PayloadSchemaType.FLOAT,
    }
    if metadata.set_aside is not None:
        indexes[SET_ASIDE_KEY] = models.PayloadSchemaType.BOOL
    if settings.payload_m is not None:  # a graph for each of our own values would be a graph of nearly all items
        indexes = {key: _WITHOUT_GRAPH[kind] for key, kind in indexes.items()}
    indexes |= filterable_indexes(settings.filterable)
    if settings.tenant_key is not None:
        indexes[settings.tenant_key] = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    return indexes


LABEL_SCORE_INDEXES: PayloadIndexes = {
    REVIEW_SCORE_KEY: models.PayloadSchemaType.FLOAT,
    SUGGESTED_KEY: models.PayloadSchemaType.KEYWORD,
    CONFUSION_KEY: models.PayloadSchemaType.KEYWORD,
}
ITEM_SCORE_INDEXES: PayloadIndexes = {
    review_key("conflict"): models.PayloadSchemaType.FLOAT,
    review_key("duplicate"): models.PayloadSchemaType.FLOAT,
    review_key("duplicate_group"): models.PayloadSchemaType.INTEGER,
    review_key("outlier"): models.PayloadSchemaType.FLOAT,
}
SCORE_INDEXES: Mapping[str, PayloadIndexes] = {  # by the metadata key that says that the scores are there
    LABELS_SCORED_KEY: LABEL_SCORE_INDEXES,
    ITEMS_SCORED_KEY: ITEM_SCORE_INDEXES,
}

_WITHOUT_GRAPH: dict[PayloadIndex, PayloadIndex] = {
    models.PayloadSchemaType.KEYWORD: models.KeywordIndexParams(
        type=models.KeywordIndexType.KEYWORD, enable_hnsw=False
    ),
    models.PayloadSchemaType.FLOAT: models.FloatIndexParams(type=models.FloatIndexType.FLOAT, enable_hnsw=False),
    models.PayloadSchemaType.INTEGER: models.IntegerIndexParams(
        type=models.IntegerIndexType.INTEGER, enable_hnsw=False
    ),
    models.PayloadSchemaType.BOOL: models.BoolIndexParams(type=models.BoolIndexType.BOOL, enable_hnsw=False),
}
_QUANTIZATIONS: dict[Quantization, models.ScalarQuantization | models.BinaryQuantization | None] = {
    "none": None,
    "scalar": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    ),
    "binary": models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True)),
}
