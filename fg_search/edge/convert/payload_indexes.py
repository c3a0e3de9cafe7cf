"""Payload-index types and parameters of ``qdrant_client.models`` as those of Qdrant Edge, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

from fg_search.edge.convert.counterparts import convert_memory, enum_named

_PAYLOAD_SCHEMA = {kind: getattr(edge.PayloadSchemaType, kind.value.capitalize()) for kind in models.PayloadSchemaType}
# keyed by name, because the engine's enums are not hashable
_PAYLOAD_SCHEMA_BY_NAME = {kind.value: kind for kind in models.PayloadSchemaType}
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
        return enum_named(edge.Language, value, "stop words of language")
    languages = {enum_named(edge.Language, language, "stop words of language") for language in value.languages or ()}
    return edge.StopwordsSet(languages, set(value.custom or ()))


def _stemmer(value: Any) -> Any:
    if isinstance(value, models.DisabledStemmerParams):
        return edge.DisabledStemmer()
    return edge.SnowballParams(enum_named(edge.SnowballLanguage, value.language, "stemmer language"))


_INDEX_SETTINGS: dict[str, Callable[[Any], Any]] = {
    "memory": convert_memory,
    "tokenizer": lambda value: enum_named(edge.TokenizerType, value, "tokenizer"),
    "stopwords": _stopwords,
    "stemmer": _stemmer,
    "scoring": lambda value: value if isinstance(value, bool) else edge.TextScoringParams(),
}


def parse_index_schema(schema: Any) -> models.PayloadSchemaType | models.PayloadSchemaParams:
    """Parse the type of a payload index from any form that ``create_payload_index`` accepts."""
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
        name: _INDEX_SETTINGS.get(name, lambda unchanged: unchanged)(value)
        for name, value in schema
        if name != "type" and value is not None
    }
    return _INDEX_PARAMS[type(schema)](**settings)


def payload_schema_from_edge(
    indexes: Mapping[str, edge.PayloadIndexInfo], saved: Mapping[str, models.PayloadSchemaParams]
) -> dict[str, models.PayloadIndexInfo]:
    """Describe payload indexes, with the parameters that were saved when they were created."""
    infos = {}
    for field, info in indexes.items():
        kind = _PAYLOAD_SCHEMA_BY_NAME[str(info.data_type).rsplit(".", 1)[-1].lower()]
        params = saved.get(field)
        if params is not None and params.type.value != kind.value:
            params = None  # trust the engine: the process ended before the new parameters were saved
        infos[field] = models.PayloadIndexInfo(data_type=kind, params=params, points=info.points)
    return infos
