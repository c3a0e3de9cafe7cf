"""Fields that are made filterable in an index that is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fg_search.index.collections import index_payload
from fg_search.index.following import followed, on_current_collection
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.filterable import check_filterable, filterable_indexes, guessed_kind
from fg_search.layout.points import payload_of
from fg_search.validation import check_list

_SAMPLE = 1000  # items from which kinds are guessed


async def make_filterable(state: IndexState, fields: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Have the engine index fields, and remember them with the index.

    Args:
        state: The index.
        fields: Kinds by field. Of a list of fields, the kinds are guessed.

    Returns:
        Kinds of all fields that are filterable now.

    Raises:
        ValueError: If a field or kind is unknown, or a kind cannot be guessed.
    """
    wanted = await _guessed(state, fields) if not isinstance(fields, Mapping) else check_filterable(fields)

    async def write(state: IndexState) -> IndexState:
        await index_payload(state.engine, state.points, filterable_indexes(wanted))
        settings = state.metadata.settings
        metadata = replace(state.metadata, settings=replace(settings, filterable={**settings.filterable, **wanted}))
        await state.engine.update_collection(state.points, metadata=metadata.to_payload())
        await acknowledge(state, [])
        return replace(state, metadata=metadata)

    newer = await on_current_collection(await followed(state), write)
    state.handle.moved(newer)
    return dict(newer.metadata.settings.filterable)


async def _guessed(state: IndexState, fields: Sequence[str]) -> dict[str, str]:
    check_list(fields, "fields")
    records, _ = await state.engine.scroll(state.collection, scroll_filter=None, limit=_SAMPLE, with_payload=[*fields])
    return check_filterable({key: guessed_kind(key, [payload_of(record) for record in records]) for key in fields})
