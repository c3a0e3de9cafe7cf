"""Labels of items: listed, looked up and corrected."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.errors import ItemNotFoundError, StorageError
from fg_search.ids import UserId, other_forms, plain_id
from fg_search.index.state import IndexState
from fg_search.index.unchanged import label_unchanged
from fg_search.layout.conditions import has_ids
from fg_search.layout.items import StoredItem, given_label
from fg_search.layout.keys import GIVEN_LABEL_KEY, HASH_KEY, LABEL_KEY, LABEL_SCORE_KEYS, PAYLOAD_KEY
from fg_search.layout.points import features_of, id_of
from fg_search.validation import check_count, check_label, check_list, check_mapping

_ATTEMPTS = 10
_MAX_HINTED = 1000  # unknown ids that are looked up in another form
_LOG = logging.getLogger("fg_search.index")


async def labels(state: IndexState, limit: int) -> list[str]:
    """Labels of the items, the most frequent first."""
    check_count(limit, name="limit")
    found = await state.engine.facet(state.collection, LABEL_KEY, facet_filter=state.scope(), limit=limit)
    return [str(hit.value) for hit in found]


async def labels_of(state: IndexState, ids: Sequence[UserId]) -> dict[UserId, str | None]:
    """Labels of items by their ids. Unknown ids are left out."""
    check_list(ids, "ids")
    points = {plain_id(user_id): state.point_id(user_id) for user_id in ids}
    stored = await _stored(state, list(points.values()))
    await log_hint(state, [user_id for user_id, point in points.items() if point not in stored], points)
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
    check_mapping(labels, "labels", example='{"id": "label"}')
    checked = {user_id: check_label(label, f"labels[{user_id!r}]") for user_id, label in labels.items()}
    wanted = {state.point_id(user_id): label for user_id, label in checked.items()}
    stored = await _stored(state, list(wanted))
    missing = [user_id for user_id in labels if state.point_id(user_id) not in stored]
    if missing:
        count = f"({len(missing)} such id(s))"
        meant = hint(await ids_in_other_form(state, missing[:_MAX_HINTED]))
        raise ItemNotFoundError(f"{state.name} has no item {missing[0]!r} {count}; nothing changed{meant}")
    changed = sum(stored[point].label != label for point, label in wanted.items())
    for _ in range(_ATTEMPTS):
        operations = _corrections(wanted, stored, keep_scores=keep_scores)
        if not operations:
            return changed
        for page in pages(operations):
            await state.engine.batch_update_points(state.collection, page)
        # somebody else may have changed an item in between; one that is gone was deleted later
        stored = await _stored(state, list(wanted))
    raise StorageError(f"{state.name}: the labels are changed by others faster than here; relabel again")


async def ids_in_other_form(
    state: IndexState, missing: Sequence[UserId], asked: Collection[UserId] = ()
) -> dict[UserId, UserId]:
    """Ids that the index has in another form, such as 2 for ``"2"``, by the unknown ids.

    Args:
        state: The index.
        missing: Unknown ids.
        asked: All ids of the request. A form that is among them needs no hint.
    """
    forms = {user_id: [form for form in other_forms(plain_id(user_id)) if form not in asked] for user_id in missing}
    points = {form: state.point_id(form) for known in forms.values() for form in known}
    if not points:
        return {}
    stored = await _stored(state, list(points.values()))
    there = {user_id: [form for form in known if points[form] in stored] for user_id, known in forms.items()}
    return {user_id: known[0] for user_id, known in there.items() if known}


def hint(found: Mapping[UserId, UserId]) -> str:
    """End of an error message: names the first id that the index has in another form."""
    for user_id, form in found.items():
        if isinstance(user_id, str) and isinstance(form, str):
            return f"; it has {form!r}, without the quotes or white space of {user_id!r}"
        kinds = "an integer" if isinstance(form, int) else "a string"
        return f"; it has {form!r}, {kinds}: an id has to be of the type that it was added with"
    return ""


async def log_hint(state: IndexState, missing: Sequence[UserId], asked: Collection[UserId]) -> None:
    """Log that the index has unknown ids in another form, where unknown ids are no error."""
    found = await ids_in_other_form(state, missing[:_MAX_HINTED], asked)
    if found:
        first = next(iter(found))
        _LOG.warning("%s has no item %r (%d such id(s))%s", state.name, first, len(found), hint(found))


def _corrections(
    wanted: Mapping[PointId, str | None], stored: Mapping[PointId, StoredItem], *, keep_scores: bool
) -> list[models.UpdateOperation]:
    """Writes that give items the wanted labels, as long as they have those that were read."""
    alike: dict[tuple[str | None, str | None, bool, str | None], list[PointId]] = defaultdict(list)
    for point, known in stored.items():
        label = wanted[point]
        # a label "corrected" to what the user gave: taking a correction back was interrupted half way
        if known.label != label or (known.is_corrected and label == known.given_label):
            alike[known.label, known.given_label, known.is_corrected, label].append(point)
    operations: list[models.UpdateOperation] = []
    for (_, given, is_corrected, label), points in alike.items():
        for page in pages(points):
            seen = models.Filter(must=[has_ids(page), *label_unchanged(stored[page[0]])])
            if not keep_scores:
                operations.append(_delete_keys(LABEL_SCORE_KEYS, seen))
            if label != given:
                # the engine removes a label that is set to null
                operations.append(_set_features({"label": label, **given_label(given)}, seen))
                continue
            operations.append(_set_features({"label": label}, seen))
            if is_corrected:  # the correction is taken back
                taken_back = StoredItem("", label, given, is_corrected=True)
                operations.append(
                    _delete_keys([GIVEN_LABEL_KEY], models.Filter(must=[has_ids(page), *label_unchanged(taken_back)]))
                )
    return operations


def _set_features(features: Mapping[str, Any], condition: models.Filter) -> models.SetPayloadOperation:
    setting = models.SetPayload(payload=dict(features), key=PAYLOAD_KEY, filter=condition)
    return models.SetPayloadOperation(set_payload=setting)


def _delete_keys(keys: Sequence[str], condition: models.Filter) -> models.DeletePayloadOperation:
    return models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=[*keys], filter=condition))


async def _stored(state: IndexState, points: list[int | str]) -> dict[int | str, StoredItem]:
    """Stored items by the engine's ids. Unknown ids are left out."""
    stored: dict[int | str, StoredItem] = {}
    for chunk in pages(points):
        records = await state.engine.retrieve(
            state.collection, chunk, with_payload=[HASH_KEY, LABEL_KEY, GIVEN_LABEL_KEY]
        )
        stored.update((id_of(record), StoredItem.of_features(features_of(record))) for record in records)
    return stored
