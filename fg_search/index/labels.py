"""The labels of items: read, listed and corrected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from fg_search.engine.paging import pages
from fg_search.errors import ItemNotFoundError
from fg_search.ids import UserId
from fg_search.index.state import IndexState
from fg_search.layout.keys import GIVEN_LABEL_KEY, HASH_KEY, JUDGEMENT_KEYS, LABEL_KEY, PAYLOAD_KEY
from fg_search.layout.points import Stored, given_label, id_of, payload_of
from fg_search.validation import check_count, check_label


async def relabel(state: IndexState, labels: Mapping[UserId, str | None], *, keep_judgement: bool = False) -> int:
    """Correct labels. What the label was is kept beside it, so that adding the same data again keeps the correction.

    Args:
        state: The index.
        labels: The right label by id.
        keep_judgement: Leave with the item what was judged about its old label, which may come back.

    Returns:
        How many items have another label now.

    Raises:
        ItemNotFoundError: If an id is not there; nothing is changed then.
    """
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
        # a label that was corrected to what it is anyway: taking a correction back was interrupted half way
        if known.label != label or (known.is_corrected and label == known.given_label):
            changes[label, known.given_label].append(point)
    for (label, given), points in changes.items():
        for chunk in pages(points):
            if not keep_judgement:
                await state.engine.delete_payload(state.collection, JUDGEMENT_KEYS, points=chunk)
            if label == given:  # the correction is taken back
                await state.engine.set_payload(state.collection, {"label": label}, points=chunk, key=PAYLOAD_KEY)
                await state.engine.delete_payload(state.collection, [GIVEN_LABEL_KEY], points=chunk)
            else:
                both = {"label": label, **given_label(given)}  # the engine removes a label that is set to null
                await state.engine.set_payload(state.collection, both, points=chunk, key=PAYLOAD_KEY)
    return changed


async def labels_of(state: IndexState, ids: Sequence[UserId]) -> dict[UserId, str | None]:
    """The labels of those of the items that are there, by their ids."""
    points = {user_id: state.point_id(user_id) for user_id in ids}
    stored = await _stored(state, list(points.values()))
    return {user_id: stored[point].label for user_id, point in points.items() if point in stored}


async def _stored(state: IndexState, points: list[int | str]) -> dict[int | str, Stored]:
    """What the index has of those of the points that are there."""
    stored: dict[int | str, Stored] = {}
    for chunk in pages(points):
        records = await state.engine.retrieve(
            state.collection, chunk, with_payload=[HASH_KEY, LABEL_KEY, GIVEN_LABEL_KEY]
        )
        stored.update((id_of(record), Stored.of_features(payload_of(record)[PAYLOAD_KEY])) for record in records)
    return stored


async def labels(state: IndexState, limit: int) -> list[str]:
    """The labels of the items, the most frequent first."""
    check_count(limit, name="limit")
    found = await state.engine.facet(state.collection, LABEL_KEY, facet_filter=state.scope(), limit=limit)
    return [str(hit.value) for hit in found]
