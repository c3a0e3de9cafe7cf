"""The settings of a collection, as kept in its JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter
from qdrant_client import models

from fg_search.edge.vector_schema import VectorSchema


@dataclass(frozen=True)
class Pending:
    """Changes of the settings that the engine may not have followed yet.

    Attributes:
        added: Names of new vectors.
        dropped: Names of removed vectors.
        reloads: Whether the engine has to load its settings anew.
    """

    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    reloads: bool = False


def dense_params(config: models.CreateCollection) -> dict[str, models.VectorParams]:
    """Return name → parameters of the dense vectors; the unnamed vector has an empty name."""
    vectors = config.vectors
    return {"": vectors} if isinstance(vectors, models.VectorParams) else dict(vectors or {})


def has_vectors(config: models.CreateCollection) -> bool:
    """Whether the collection has any vector."""
    return bool(dense_params(config) or config.sparse_vectors)


_INDEX_PARAMS: TypeAdapter[models.PayloadSchemaParams] = TypeAdapter(models.PayloadSchemaParams)
_PENDING: TypeAdapter[Pending | None] = TypeAdapter(Pending | None)


@dataclass(frozen=True)
class CollectionSettings:
    """Settings that the engine does not keep itself.

    Attributes:
        config: Arguments of ``create_collection``, with the current metadata.
        index_params: Payload field → parameters of its index; fields indexed by type alone are left out.
        pending: What the engine has yet to follow.
    """

    config: models.CreateCollection
    index_params: Mapping[str, models.PayloadSchemaParams] = field(default_factory=dict)
    pending: Pending | None = None

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CollectionSettings:
        """Read what :meth:`to_json` returned.

        Raises:
            KeyError, AttributeError, ValueError: The content is damaged.
        """
        return cls(
            models.CreateCollection.model_validate(content["config"]),
            {name: _INDEX_PARAMS.validate_python(params) for name, params in content["payload_schema"].items()},
            _PENDING.validate_python(content.get("pending")),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of the collection's JSON file."""
        return {
            "config": self.config.model_dump(mode="json", exclude_none=True),
            "payload_schema": {
                name: params.model_dump(mode="json", exclude_none=True) for name, params in self.index_params.items()
            },
            **({} if self.pending is None else {"pending": asdict(self.pending)}),
        }

    @property
    def schema(self) -> VectorSchema:
        """The vectors that the collection accepts."""
        return VectorSchema.from_config(self.config.vectors, self.config.sparse_vectors)

    def with_metadata(self, changes: dict[str, Any]) -> CollectionSettings:
        """Merge top-level keys into the metadata, as the server does; None removes a key."""
        merged = {**(self.config.metadata or {}), **changes}
        metadata = {key: value for key, value in merged.items() if key not in changes or value is not None}
        return replace(self, config=self.config.model_copy(update={"metadata": metadata}))

    def with_index(
        self, name: str, schema: models.PayloadSchemaType | models.PayloadSchemaParams
    ) -> CollectionSettings:
        """Record the parameters of an index, or drop the old ones if the new index has none."""
        rest = self.without_index(name)
        if isinstance(schema, models.PayloadSchemaType):
            return rest
        return replace(self, index_params={**rest.index_params, name: schema.model_copy(deep=True)})

    def without_index(self, name: str) -> CollectionSettings:
        """Drop the parameters of an index, if there are any."""
        return replace(self, index_params={key: params for key, params in self.index_params.items() if key != name})
