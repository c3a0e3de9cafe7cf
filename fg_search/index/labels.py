"""Labels of items: listed, looked up and corrected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from fg_search.engine.paging import pages
from fg_search.errors import ItemNotFoundError
from fg_search.ids import UserId
from fg_search.index.state import IndexState
from fg_search.layout.items import StoredItem, given_label
from fg_search.layout.keys import GIVEN_LABEL_KEY, HASH_KEY, LABEL_KEY, LABEL_SCORE_KEYS, PAYLOAD_KEY
from fg_search.layout.points import features_of, id_of
from fg_search.validation import check_count, check_label, is_missing


async def labels(state: IndexState, limit: int) -> list[str]:
    """Labels of the items, the most frequent first."""
    check_count(limit, name="limit")
    found = await state.engine.facet(state.collection, LABEL_KEY, facet_filter=state.scope(), limit=limit)
    return [str(hit.value) for hit in found]


async def labels_of(state: IndexState, ids: Sequence[UserId]) -> dict[UserId, str | None]:
    """Labels of items by their ids. Unknown ids are left out."""
    points = {user_id: state.point_id(user_id) for user_id in ids}
    stored = await _stored(state, list(points.values()))
    return {user_id: stored[point].label for user_id, point in points.items() if point in stored}


async def relabel(state: IndexState, labels: Mapping[UserId, str | None], *, keep_scores: bool = False) -> int:
    """Correct labels. The user's label is kept beside the new one, so that adding the same data again does not undo it.

    Args:
        state: The index.
        labels: Right label by id.
        keep_scores: Keep the scores of the old label with the item, as it may come back.

    Returns:
        Number of items whose label changed.

    Raises:
        ItemNotFoundError: If an id is unknown. Nothing is changed then.
    """
    labels = {user_id: None if is_missing(label) else label for user_id, label in labels.items()}
    for user_id, label in labels.items():
        check_label(label, f"labels[{user_id!r}]")
    wanted = {state.point_id(user_id): label for user_id, label in labels.items()}
    stored = await _stored(state, list(wanted))
    missing = [user_id for user_id in labels if state.point_id(user_id) not in stored]
    if missing:
        raise ItemNotFoundError(f"{state.name} has no item {missing[0]!r} ({len(missing)} such id(s)); nothing changed")
    changes: dict[tuple[str | None, str | None], list[int | str]] = defaultdict(list)
    changed = 0
    for point, label in wanted.items():
        known = stored[point]
        changed += known.label != label
        # a label "corrected" to what the user gave: taking a correction back was interrupted half way
        if known.label != label or (known.is_corrected and label == known.given_label):
            changes[label, known.given_label].append(point)
    for (label, given), points in changes.items():
        for chunk in pages(points):
            if not keep_scores:
                await state.engine.delete_payload(state.collection, LABEL_SCORE_KEYS, points=chunk)
            if label == given:  # the correction is taken back
                await state.engine.set_payload(state.collection, {"label": label}, points=chunk, key=PAYLOAD_KEY)
                await state.engine.delete_payload(state.collection, [GIVEN_LABEL_KEY], points=chunk)
            else:
                both = {"label": label, **given_label(given)}  # the engine removes a label that is set to null
                await state.engine.set_payload(state.collection, both, points=chunk, key=PAYLOAD_KEY)
    return changed


async def _stored(state: IndexState, points: list[int | str]) -> dict[int | str, StoredItem]:
    """Stored items by the engine's ids. Unknown ids are left out."""
    stored: dict[int | str, StoredItem] = {}
    for chunk in pages(points):
        records = await state.engine.retrieve(
            state.collection, chunk, with_payload=[HASH_KEY, LABEL_KEY, GIVEN_LABEL_KEY]
        )
        stored.update((id_of(record), StoredItem.of_features(features_of(record))) for record in records)
    return stored
