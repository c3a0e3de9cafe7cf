"""The labels of items: read, listed and corrected."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from fg_search.engine.paging import pages
from fg_search.errors import ItemNotFoundError
from fg_search.ids import UserId, other_forms, plain_id
from fg_search.index.state import IndexState
from fg_search.layout.keys import GIVEN_LABEL_KEY, HASH_KEY, JUDGEMENT_KEYS, LABEL_KEY, PAYLOAD_KEY
from fg_search.layout.points import Stored, given_label, id_of, payload_of
from fg_search.validation import check_count, check_label, check_list, check_mapping

_MOST_HINTED = 1000  # unknown ids that are looked up in another form
_LOG = logging.getLogger("fg_search.index")


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
    check_mapping(labels, "labels", example='{"id": "label"}')
    checked = {user_id: check_label(label, f"labels[{user_id!r}]") for user_id, label in labels.items()}
    wanted = {state.point_id(user_id): label for user_id, label in checked.items()}
    stored = await _stored(state, list(wanted))
    missing = [user_id for user_id in labels if state.point_id(user_id) not in stored]
    if missing:
        count = f"({len(missing)} such id(s))"
        meant = hint(await ids_in_other_form(state, missing[:_MOST_HINTED]))
        raise ItemNotFoundError(f"{state.name} has no item {missing[0]!r} {count}; nothing changed{meant}")
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
    check_list(ids, "ids")
    points = {plain_id(user_id): state.point_id(user_id) for user_id in ids}
    stored = await _stored(state, list(points.values()))
    await log_hint(state, [user_id for user_id, point in points.items() if point not in stored], points)
    return {user_id: stored[point].label for user_id, point in points.items() if point in stored}


async def ids_in_other_form(
    state: IndexState, missing: Sequence[UserId], asked: Collection[UserId] = ()
) -> dict[UserId, UserId]:
    """By unknown ids, those that the index has in another form, such as 2 for ``"2"``.

    Args:
        state: The index.
        missing: Ids that it does not have.
        asked: Ids that were asked for together with them; who asks for both forms knows.
    """
    forms = {user_id: [form for form in other_forms(plain_id(user_id)) if form not in asked] for user_id in missing}
    points = {form: state.point_id(form) for known in forms.values() for form in known}
    if not points:
        return {}
    stored = await _stored(state, list(points.values()))
    there = {user_id: [form for form in known if points[form] in stored] for user_id, known in forms.items()}
    return {user_id: known[0] for user_id, known in there.items() if known}


def hint(found: Mapping[UserId, UserId]) -> str:
    """The end of an error message, about the first of the ids that are there in another form."""
    for user_id, form in found.items():
        if isinstance(user_id, str) and isinstance(form, str):
            return f"; it has {form!r}, without the quotes or white space of {user_id!r}"
        kinds = "an integer" if isinstance(form, int) else "a string"
        return f"; it has {form!r}, {kinds}: an id has to be of the type that it was added with"
    return ""


async def log_hint(state: IndexState, missing: Sequence[UserId], asked: Collection[UserId]) -> None:
    """Say in the log that unknown ids are there in another form, where unknown ids are no error."""
    found = await ids_in_other_form(state, missing[:_MOST_HINTED], asked)
    if found:
        first = next(iter(found))
        _LOG.warning("%s has no item %r (%d such id(s))%s", state.name, first, len(found), hint(found))


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
