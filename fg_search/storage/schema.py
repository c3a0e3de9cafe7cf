"""What an index looks like inside Qdrant: vectors, payload keys, ids, and the collection's own metadata."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from qdrant_client import models

from fg_search.errors import FormatVersionError, IndexNotFoundError

SCHEMA_VERSION = 1

BASE_VECTOR = "base"  # dense, cosine: the sentence embedding
FEATURES_VECTOR = "features"  # sparse, dot: p/√G, so that the dot product is the similarity s in [0, 1]

PAYLOAD_KEY = "fg"  # the one payload key that is ours; all others are the user's
CONFIDENCE_KEY = f"{PAYLOAD_KEY}.confidence"
LABEL_KEY = f"{PAYLOAD_KEY}.label"

_METADATA_KEY = "fg_search"


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
        schema: Version of this layout.
    """

    fingerprint: str
    model_name: str
    encoder: str | None
    supervision: str
    dimension: int
    groups: int
    codes_per_group: int
    schema: int = SCHEMA_VERSION

    def to_payload(self) -> dict[str, Any]:
        """As the metadata of a Qdrant collection."""
        return {_METADATA_KEY: asdict(self)}

    @classmethod
    def of_collection(cls, name: str, info: models.CollectionInfo) -> IndexMetadata:
        """Read it from a collection.

        Raises:
            IndexNotFoundError: If the collection is not one of ours.
            FormatVersionError: If a newer release made it.
        """
        stored = (info.config.metadata or {}).get(_METADATA_KEY)
        if stored is None:
            raise IndexNotFoundError(
                f"the collection {name!r} was not made by fg_search (it has no {_METADATA_KEY!r} metadata); "
                "choose another collection name"
            )
        if stored["schema"] > SCHEMA_VERSION:
            raise FormatVersionError(
                f"the collection {name!r} has schema {stored['schema']}, this release reads up to "
                f"{SCHEMA_VERSION}; upgrade fg_search"
            )
        return cls(**{key.name: stored[key.name] for key in fields(cls)})


def vectors_config(dimension: int) -> dict[str, models.VectorParams]:
    """Dense vectors of the collection."""
    return {BASE_VECTOR: models.VectorParams(size=dimension, distance=models.Distance.COSINE)}


def sparse_vectors_config() -> dict[str, models.SparseVectorParams]:
    """Sparse vectors of the collection."""
    return {FEATURES_VECTOR: models.SparseVectorParams()}


def payload_indexes() -> dict[str, models.PayloadSchemaType]:
    """Payload keys that filters and orderings use."""
    return {
        CONFIDENCE_KEY: models.PayloadSchemaType.FLOAT,
        LABEL_KEY: models.PayloadSchemaType.KEYWORD,
    }
