"""What an index looks like inside Qdrant: vectors, payload keys, settings, and the collection's own metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from qdrant_client import models

from fg_search.errors import FormatVersionError, IndexNotFoundError

SCHEMA_VERSION = 2

BASE_VECTOR = "base"  # dense, cosine: the sentence embedding
FEATURES_VECTOR = "features"  # sparse, dot: p/√G, so that the dot product is the similarity s in [0, 1]

PAYLOAD_KEY = "fg"  # the one payload key that is ours; all others are the user's
CONFIDENCE_KEY = f"{PAYLOAD_KEY}.confidence"
LABEL_KEY = f"{PAYLOAD_KEY}.label"
GIVEN_LABEL_KEY = f"{PAYLOAD_KEY}.given_label"  # only where a person corrected the label: what it was
HASH_KEY = f"{PAYLOAD_KEY}.hash"

METADATA_KEY = "fg_search"
CALIBRATION_KEY = "fg_search_calibration"

BaseVectors = Literal["float32", "float16", "none"]
Quantization = Literal["none", "scalar", "binary"]


@dataclass(frozen=True)
class IndexSettings:
    """How a new index is laid out. It cannot be changed later, but an index can be copied into one with other settings.

    Attributes:
        base_vectors: Number type of the stored base embeddings; ``"none"`` leaves them out: such an index ranks by
            features alone.
        quantization: Of the base embeddings, for search on a server or after ``EdgeClient.optimize``: ``"scalar"``
            (int8, a quarter of the memory) or ``"binary"`` (one bit a number).
        on_disk: Keep the base embeddings on disk instead of in memory.
        tenant_key: Payload key that says whose an item is; every operation then needs a tenant
            (:meth:`ConfidenceIndex.tenant`) and sees that tenant's items alone.
        shards: Of a cluster; ``None`` leaves it to the server.
        replicas: Copies of each shard; ``None`` leaves it to the server.
        write_consistency: Copies that must have a write before it counts as done; ``None`` leaves it to the server.

    Raises:
        ValueError: If a value is not one of those.
    """

    base_vectors: BaseVectors = "float32"
    quantization: Quantization = "none"
    on_disk: bool = False
    tenant_key: str | None = None
    shards: int | None = None
    replicas: int | None = None
    write_consistency: int | None = None

    def __post_init__(self) -> None:
        for name, choices in (("base_vectors", BaseVectors), ("quantization", Quantization)):
            if getattr(self, name) not in get_args(choices):
                known = ", ".join(map(repr, get_args(choices)))
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")
        if self.base_vectors == "none" and (self.quantization != "none" or self.on_disk):
            raise ValueError("quantization and on_disk concern base vectors, which base_vectors='none' leaves out")
        if self.tenant_key is not None and (
            not self.tenant_key or self.tenant_key == PAYLOAD_KEY or set(self.tenant_key) & set('."[]')
        ):
            raise ValueError(f"tenant_key must be a plain top-level key other than {PAYLOAD_KEY!r}")
        for name in ("shards", "replicas", "write_consistency"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


@dataclass(frozen=True)
class IndexMetadata:
    """What a collection remembers of the encoder that filled it.

    Attributes:
        fingerprint: Of the encoder; vectors of any other encoder are refused.
        model_name: The base model, for people to read.
        encoder: Folder the encoder was saved in, or ``None`` if it never was.
        supervision: How the head was trained (``"labels"``, ``"clusters"``).
        dimension: Of the base embeddings.
        groups: G.
        codes_per_group: K.
        settings: How the index is laid out.
        schema: Version of this layout.
    """

    fingerprint: str
    model_name: str
    encoder: str | None
    supervision: str
    dimension: int
    groups: int
    codes_per_group: int
    settings: IndexSettings = field(default_factory=IndexSettings)
    schema: int = SCHEMA_VERSION

    @property
    def has_base(self) -> bool:
        """Whether points carry their base embeddings."""
        return self.settings.base_vectors != "none"

    def to_payload(self) -> dict[str, Any]:
        """As the metadata of a Qdrant collection."""
        return {METADATA_KEY: asdict(self)}

    @classmethod
    def of_collection(cls, name: str, info: models.CollectionInfo) -> IndexMetadata:
        """Read it from a collection.

        Raises:
            IndexNotFoundError: If the collection is not one of ours.
            FormatVersionError: If another release made it that this one cannot read.
        """
        stored: Mapping[str, Any] | None = (info.config.metadata or {}).get(METADATA_KEY)
        if stored is None:
            raise IndexNotFoundError(
                f"the collection {name!r} was not made by fg_search (it has no {METADATA_KEY!r} metadata); "
                "choose another collection name"
            )
        if stored["schema"] != SCHEMA_VERSION:
            remedy = "upgrade fg_search" if stored["schema"] > SCHEMA_VERSION else "add the items to a new index"
            raise FormatVersionError(
                f"the collection {name!r} has schema {stored['schema']}, this release reads {SCHEMA_VERSION}; {remedy}"
            )
        values = {key.name: stored[key.name] for key in fields(cls)}
        return cls(**{**values, "settings": IndexSettings(**stored["settings"])})


def collection_options(metadata: IndexMetadata) -> dict[str, Any]:
    """Arguments of ``create_collection`` for an index."""
    settings = metadata.settings
    base = models.VectorParams(
        size=metadata.dimension,
        distance=models.Distance.COSINE,
        datatype=models.Datatype.FLOAT16 if settings.base_vectors == "float16" else None,
        quantization_config=_QUANTIZATIONS[settings.quantization],
        on_disk=True if settings.on_disk else None,
    )
    cluster = {
        "shard_number": settings.shards,
        "replication_factor": settings.replicas,
        "write_consistency_factor": settings.write_consistency,
    }
    return {
        "vectors_config": {BASE_VECTOR: base} if metadata.has_base else {},
        "sparse_vectors_config": {FEATURES_VECTOR: models.SparseVectorParams()},
        "metadata": metadata.to_payload(),
        **{name: value for name, value in cluster.items() if value is not None},
    }


def payload_indexes(settings: IndexSettings) -> dict[str, models.PayloadSchemaType | models.KeywordIndexParams]:
    """Payload keys that filters and orderings use."""
    indexes: dict[str, models.PayloadSchemaType | models.KeywordIndexParams] = {
        CONFIDENCE_KEY: models.PayloadSchemaType.FLOAT,
        LABEL_KEY: models.PayloadSchemaType.KEYWORD,
    }
    if settings.tenant_key is not None:
        indexes[settings.tenant_key] = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    return indexes


_QUANTIZATIONS: dict[Quantization, models.ScalarQuantization | models.BinaryQuantization | None] = {
    "none": None,
    "scalar": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    ),
    "binary": models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True)),
}
