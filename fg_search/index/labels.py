"""Labels of items: listed, looked up and corrected."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from qdrant_client import models

from fg_search.engine.paging import pages
from fg_search.engine.port import PointId
from fg_search.errors import ItemNotFoundError, StorageError
from fg_search.ids import UserId, other_forms, plain_id
from fg_search.index.following import on_current_collection
from fg_search.index.state import IndexState
from fg_search.index.writes import acknowledge
from fg_search.layout.conditions import has_ids
from fg_search.layout.history import new_token
from fg_search.layout.items import StoredItem, corrected
from fg_search.layout.keys import (
    GIVEN_LABEL_KEY,
    HASH_KEY,
    ITEM_HISTORY_KEY,
    LABEL_KEY,
    LABEL_SCORE_KEYS,
    PAYLOAD_KEY,
)
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
    stored = await _stored(state, list(points.values()), state.collection)
    await log_hint(state, [user_id for user_id, point in points.items() if point not in stored], points)
    return {user_id: stored[point].label for user_id, point in points.items() if point in stored}


async def relabel(state: IndexState, labels: Mapping[UserId, str | None]) -> int:
    """Correct labels. The user's label is kept beside the new one, so that adding the same data again does not undo it.

    Args:
        state: The index.
        labels: Right label by id.

    Returns:
        Number of items whose label changed.

    Raises:
        ItemNotFoundError: If an id is unknown. Nothing is changed then.
    """
    check_mapping(labels, "labels", example='{"id": "label"}')
    checked = {user_id: check_label(label, f"labels[{user_id!r}]") for user_id, label in labels.items()}
    wanted = {state.point_id(user_id): label for user_id, label in checked.items()}
    token, changed = new_token(), 0

    async def write(state: IndexState) -> None:
        nonlocal changed
        stored = await _stored(state, list(wanted))
        # if the index has moved, what was read before may have been out of date, unless the correction came along
        if not any(token in known.history.writers for known in stored.values()):
            await _check_known(state, labels, stored)
            changed = sum(stored[point].label != label for point, label in wanted.items())
        for _ in range(_ATTEMPTS):
            operations = _corrections(wanted, stored, token)
            if not operations:
                await acknowledge(state, list(wanted))
                return
            for page in pages(operations):
                await state.engine.batch_update_points(state.points, page)
            # somebody else may have changed an item in between; one that is gone was deleted later
            stored = await _stored(state, list(wanted))
        raise StorageError(f"{state.name}: the labels are changed by others faster than here; relabel again")

    if wanted:
        await on_current_collection(state, write)
    return changed


async def _check_known(
    state: IndexState, labels: Mapping[UserId, str | None], stored: Mapping[PointId, StoredItem]
) -> None:
    missing = [user_id for user_id in labels if state.point_id(user_id) not in stored]
    if missing:
        count = f"({len(missing)} such id(s))"
        meant = hint(await ids_in_other_form(state, missing[:_MAX_HINTED]))
        raise ItemNotFoundError(f"{state.name} has no item {missing[0]!r} {count}; nothing changed{meant}")


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
    stored = await _stored(state, list(points.values()), state.collection)
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
    wanted: Mapping[PointId, str | None], stored: Mapping[PointId, StoredItem], token: str
) -> list[models.UpdateOperation]:
    """Writes that give items the wanted labels, as long as nobody has changed them since they were read.

    Args:
        wanted: Right label by the engine's id.
        stored: Items as they were read.
        token: Token of this correction. Items that have it were corrected, whatever others have done since.
    """
    alike: dict[str, tuple[models.SetPayload, list[PointId], models.Condition]] = {}
    for point, known in stored.items():
        label = wanted[point]
        # a label "corrected" to what the user gave: a release before 0.2 was interrupted in taking a correction back
        is_right = known.label == label and not (known.is_corrected and label == known.given_label)
        if is_right or token in known.history.writers:
            continue
        values = {**corrected(known, label), **known.history.changed(token).to_payload()}
        setting = models.SetPayload(payload=values, key=PAYLOAD_KEY)
        alike.setdefault(setting.model_dump_json(), (setting, [], known.history.unchanged))[1].append(point)
    operations: list[models.UpdateOperation] = []
    for setting, points, unchanged in alike.values():
        for page in pages(points):
            seen = models.Filter(must=[has_ids(page), unchanged])
            operations += [
                _delete_keys(LABEL_SCORE_KEYS, seen),
                models.SetPayloadOperation(set_payload=setting.model_copy(update={"filter": seen})),
            ]
    return operations


def _delete_keys(keys: Sequence[str], condition: models.Filter) -> models.DeletePayloadOperation:
    return models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=[*keys], filter=condition))


async def _stored(state: IndexState, points: list[PointId], collection: str | None = None) -> dict[PointId, StoredItem]:
    """Stored items by the engine's ids, by default of the collection that is written to. Unknown ids are left out."""
    stored: dict[PointId, StoredItem] = {}
    keys = [HASH_KEY, LABEL_KEY, GIVEN_LABEL_KEY, ITEM_HISTORY_KEY]
    for chunk in pages(points):
        records = await state.engine.retrieve(
            collection or state.points,
            chunk,
            with_payload=keys,
            copies="most" if collection is None else "any",
            tenant=state.chosen_tenant,
        )
        stored.update((id_of(record), StoredItem.of_features(features_of(record))) for record in records)
    return stored
