"""Values of the payload that the Search view offers to filter by: of keys that have a few different ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from fg_search.confidence_index import ConfidenceIndex
from fg_search.web.background import Background
from fg_search.web.item_filter import short_values
from fg_search.web.stored_items import tenant_filter

Facets = Background[list["Facet"]]

_SEEN = 500  # items whose payload is looked at
_KEYS = 3
_VALUES = 6  # of a key; one of more values is to be typed
_OF_FEW_VALUES = ("keyword", "bool", "integer")  # kinds of payload indexes


@dataclass(frozen=True)
class Facet:
    """A key of the payload and its values, the most frequent first.

    Attributes:
        key: The key.
        values: At least two values, as conditions have them.
    """

    key: str
    values: tuple[str, ...]


def facets_of(index: ConfidenceIndex, tenant: str | None) -> Facets:
    """The facets of an index, found on first use and again when items were added."""
    return Background(lambda: find_facets(index, tenant), lambda: len(index))


def find_facets(index: ConfidenceIndex, tenant: str | None) -> list[Facet]:
    """Facets by what the engine counts of fields that have a payload index, then by what some items have."""
    counted = {
        key: _counted(index, tenant, key)
        for key, kind in index.metadata.settings.filterable.items()
        if kind in _OF_FEW_VALUES
    }
    seen: dict[str, Counter[str]] = {}
    for item in index.items(limit=_SEEN):
        for key, value in short_values(item.payload):
            if "." not in key and key not in index.metadata.settings.filterable:
                seen.setdefault(key, Counter())[value] += 1
    found = [Facet(key, tuple(value for value, _ in values.most_common())) for key, values in (counted | seen).items()]
    return [facet for facet in found if 1 < len(facet.values) <= _VALUES][:_KEYS]


def _counted(index: ConfidenceIndex, tenant: str | None, key: str) -> Counter[str]:
    answer = index.client.facet(index.collection, key=key, facet_filter=tenant_filter(index, tenant), limit=_VALUES + 1)
    return Counter({text: hit.count for hit in answer.hits for _, text in short_values({key: hit.value})})
