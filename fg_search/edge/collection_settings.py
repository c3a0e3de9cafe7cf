"""The settings of a collection, as kept in its JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter
from qdrant_client import models

_INDEX_PARAMS: TypeAdapter[models.PayloadSchemaParams] = TypeAdapter(models.PayloadSchemaParams)


@dataclass(frozen=True)
class CollectionSettings:
    """Settings that the engine does not keep itself.

    Attributes:
        config: Arguments of ``create_collection``, with the current metadata.
        index_params: Payload field → parameters of its index; fields indexed by type alone are left out.
    """

    config: models.CreateCollection
    index_params: Mapping[str, models.PayloadSchemaParams] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> CollectionSettings:
        """Read what :meth:`to_json` returned.

        Raises:
            KeyError, AttributeError, ValueError: The content is damaged.
        """
        return cls(
            models.CreateCollection.model_validate(content["config"]),
            {name: _INDEX_PARAMS.validate_python(params) for name, params in content["payload_schema"].items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the content of the collection's JSON file."""
        return {
            "config": self.config.model_dump(mode="json", exclude_none=True),
            "payload_schema": {
                name: params.model_dump(mode="json", exclude_none=True) for name, params in self.index_params.items()
            },
        }

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
