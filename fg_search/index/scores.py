"""Scores for reviewing, which are kept with the items, and the metadata that says that they are there."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import Engine, PayloadIndexes
from fg_search.errors import NotScoredError
from fg_search.index.collections import index_payload
from fg_search.index.following import on_current_collection
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.conditions import has_ids, is_present
from fg_search.layout.keys import ITEMS_SCORED_KEY, LABELS_SCORED_KEY, PAYLOAD_KEY, REVIEW_KEY, UNSCORED_KEY
from fg_search.layout.schema import SCORE_INDEXES

_ITEMS_PER_WRITE = 1000


async def replace_scores(
    state: IndexState,
    keys: Sequence[str],
    scores: Mapping[int | str, Mapping[str, Any]],
    indexes: PayloadIndexes,
    metadata: Mapping[str, Any],
) -> None:
    """Replace the scores of an earlier run. Those of other tenants stay if a tenant was chosen.

    Args:
        state: The index.
        keys: Payload keys to remove.
        scores: New scores by the engine's ids.
        indexes: Payload indexes that lists of the scores need.
        metadata: Entry for the collection's metadata that says that the scores are there.

    Raises:
        ModelMismatchError: If the index has moved to another base model meanwhile.
    """
    base = state.metadata.base

    async def write(state: IndexState) -> None:
        if state.metadata.base != base:
            raise state.was_re_encoded()
        await index_payload(state.engine, state.points, indexes)
        # every score has one of the indexed keys, and without an index a server in strict mode would not look for it
        scored = models.Filter(should=[is_present(key) for key in keys if key in indexes])
        await state.engine.delete_payload(state.points, keys, points=state.scope_of_all(scored))
        for page in pages(list(scores), _ITEMS_PER_WRITE):
            operations = [
                models.SetPayloadOperation(
                    set_payload=models.SetPayload(
                        payload=dict(scores[point]),
                        filter=models.Filter(must=[has_ids([point])]),  # by its id, a point that is gone is an error
                        key=f"{PAYLOAD_KEY}.{REVIEW_KEY}",
                    )
                )
                for point in page
            ]
            await state.engine.batch_update_points(state.points, operations)
        await state.engine.update_collection(state.points, metadata=metadata)
        await acknowledge(state, None)

    await on_current_collection(state, write)


async def index_scores(
    engine: Engine, collection: str, metadata: Mapping[str, Any], *, known: Container[str] = ()
) -> dict[str, Any]:
    """Make the payload indexes for scores that are there, or were copied from another collection.

    Args:
        engine: Engine of the collection that has them.
        collection: Name of that collection.
        metadata: Metadata of that collection, or of the one they were copied from.
        known: Keys that have a payload index.

    Returns:
        The entries of the metadata that say which scores are there.
    """
    scored = {key: metadata[key] for key in SCORE_INDEXES if key in metadata}
    for key in scored:
        await index_payload(engine, collection, SCORE_INDEXES[key], known=known)
    return scored


def unscored_labels(metadata: Mapping[str, Any]) -> int:
    """Number of labelled items whose label had too few examples to judge, when labels were last scored.

    Args:
        metadata: Metadata of the collection.
    """
    scored = metadata.get(LABELS_SCORED_KEY) or {}
    return int(scored.get(UNSCORED_KEY, 0))


async def check_labels_scored(state: IndexState) -> None:
    """Check that labels were scored.

    Raises:
        NotScoredError: If they were not.
    """
    await _check_scored(state, LABELS_SCORED_KEY, "the labels", "score_labels")


async def check_items_scored(state: IndexState) -> None:
    """Check that items were scored.

    Raises:
        NotScoredError: If they were not.
    """
    await _check_scored(state, ITEMS_SCORED_KEY, "the items", "score_items")


async def _check_scored(state: IndexState, key: str, what: str, method: str) -> None:
    if key not in await _metadata(state):
        raise NotScoredError(
            f"{what} of {state.name} were not scored yet; call index.{method}() or `fg-search score` first"
        )


async def _metadata(state: IndexState) -> Mapping[str, Any]:
    return (await state.engine.get_collection(state.collection)).config.metadata or {}
