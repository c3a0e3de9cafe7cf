"""Log of queries: a collection beside the index, with one entry for each different query of a tenant."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.arrays import unit_rows
from fg_search.engine.answers import is_not_found
from fg_search.engine.paging import pages, scroll_pages
from fg_search.ids import is_uuid, point_id
from fg_search.index.logs import in_log, to_log
from fg_search.index.search_results import AnswerDecision
from fg_search.index.state import IndexState
from fg_search.layout.conditions import equals, has_ids, is_empty
from fg_search.layout.logs import (
    DECIDED_BY,
    DECISION_TURN,
    JUDGED_BY,
    JUDGEMENT_TURN,
    TENANT,
    query_log,
    query_log_indexes,
)
from fg_search.layout.points import payload_of
from fg_search.queries.entries import LoggedQuery, NearestItem
from fg_search.review.issues.duplicates import earlier_normalised_text, normalised_text

MOST_QUERIES = 10_000  # different queries per tenant, about 2 KiB each
_KEPT = 9_000  # of a log that is full, so that there is room for a while
_PAGE = 1_000
_BASE, _MODEL = "base", "base_model"
_SAMPLED = "sampled"
_RESOLUTION, _PENDING, _TURN, _DECIDED_BY = "resolution", "pending", DECISION_TURN, DECIDED_BY
_CALIBRATION, _EVIDENCE, _JUDGEMENT = "calibration", "evidence", "judgement"
_OF_RESULT = ("decision", "uncertain", "reason", "query_confidence", "confidence", "nearest", _CALIBRATION, _EVIDENCE)
_BY_PEOPLE = (_RESOLUTION, _PENDING, _TURN, _JUDGEMENT, JUDGEMENT_TURN)
_READ = ("text", "count", "first", "last", _SAMPLED, *_OF_RESULT, *_BY_PEOPLE)


@dataclass(frozen=True)
class AskedQuery:
    """A query as it was asked once.

    Attributes:
        text: Text of the query.
        base: ``(d,)`` base embedding of the query.
        time: Time in UTC, ISO 8601.
        decision: Decision of the result.
        uncertain: Whether the result was uncertain.
        reason: Reason of the decision.
        query_confidence: Confidence of the query's embedding, in [1/K, 1].
        confidence: Calibrated confidence of the result, ``None`` without a calibration.
        evidence: What it is made of, see :class:`fg_search.index.search_results.SearchResult`.
        nearest: Best hit, ``None`` if no item passed the filters.
        sampled: Whether all queries were logged when it was asked.
    """

    text: str
    base: npt.ArrayLike
    time: str
    decision: AnswerDecision
    uncertain: bool
    reason: str
    query_confidence: float
    confidence: float | None
    evidence: tuple[float, float] | None
    nearest: NearestItem | None
    sampled: bool = False


async def write_queries(state: IndexState, asked: Sequence[AskedQuery]) -> None:
    """Count queries that are in the log, and enter the others. The log is made if it is missing.

    Decisions about queries are not touched, even under concurrent writes. If two writers count the same query in the
    same moment, one count may get lost.
    """
    name, indexes = query_log(state.collection), query_log_indexes(state.metadata.settings)

    async def write() -> None:
        await _write_queries(state, name, asked)

    await to_log(state, name, indexes, write)


async def _write_queries(state: IndexState, name: str, asked: Sequence[AskedQuery]) -> None:
    ids = await _ids_of(state, name, list(dict.fromkeys(query.text for query in asked)))
    counts: dict[str, int] = {}
    sampled: dict[str, int] = {}
    earliest: dict[str, AskedQuery] = {}
    latest: dict[str, AskedQuery] = {}
    for query in asked:
        query_id = ids[query.text]
        counts[query_id] = counts.get(query_id, 0) + 1
        sampled[query_id] = sampled.get(query_id, 0) + query.sampled
        earliest.setdefault(query_id, query)
        latest[query_id] = query
    added = 0
    for page in pages(list(latest), _PAGE):
        records = await state.engine.retrieve(name, ids=page, with_payload=["count", _SAMPLED])
        known = {str(record.id): payload_of(record) for record in records}
        operations: list[models.UpdateOperation] = []
        new = []
        for query_id in page:
            before = known.get(query_id, {})
            entry = {
                **_result(latest[query_id], state),
                "count": before.get("count", 0) + counts[query_id],
                _SAMPLED: before.get(_SAMPLED, 0) + sampled[query_id],
            }
            if query_id in known:
                operations.append(_setting(query_id, entry))
            else:
                entry |= {"text": earliest[query_id].text, "first": earliest[query_id].time, TENANT: state.tenant}
                new.append(models.PointStruct(id=query_id, vector={}, payload=entry))
        if new:
            # somebody else may have entered one, and decided about it, in this very moment
            insertion = models.PointsList(points=new, update_mode=models.UpdateMode.INSERT_ONLY)
            operations.append(models.UpsertOperation(upsert=insertion))
            added += len(new)
        await state.engine.batch_update_points(name, operations)
    if added:
        await _make_room(state, name)


async def read_queries(state: IndexState, ids: Sequence[str] | None = None) -> list[LoggedQuery]:
    """Logged queries of the tenant, in no order. If ids are given, only those queries."""
    return _queries(await _records(state, _READ, ids))


async def read_queries_of_all(state: IndexState) -> dict[str | None, list[LoggedQuery]]:
    """Logged queries by tenant, those of all if none was chosen; all are of ``None`` in an index without tenants."""
    if state.metadata.settings.tenant_key is None or state.chosen_tenant is not None:
        return {state.chosen_tenant: await read_queries(state)}
    found: dict[str | None, list[models.Record]] = {}
    for record in await _scrolled(state, [*_READ, TENANT], None):
        found.setdefault(payload_of(record)[TENANT], []).append(record)
    return {tenant: _queries(records) for tenant, records in found.items()}


def _queries(records: Sequence[models.Record]) -> list[LoggedQuery]:
    return [LoggedQuery.of_payload(str(record.id), payload_of(record)) for record in records]


async def sorted_queries(state: IndexState, *, only_open: bool) -> list[LoggedQuery]:
    """Logged queries of the tenant, the most frequent first, the latest first among equals."""
    queries = [query for query in (await read_queries(state)) if query.is_open or not only_open]
    queries.sort(key=lambda query: query.id)
    queries.sort(key=lambda query: query.last, reverse=True)
    queries.sort(key=lambda query: query.count, reverse=True)
    return queries


async def read_embeddings(state: IndexState, ids: Sequence[str]) -> list[npt.NDArray[np.float32] | None]:
    """``(d,)`` base embedding of each query, ``None`` if another base model made it."""
    records = await _records(state, [_BASE, _MODEL], ids)
    found = {
        str(record.id): _decoded(payload_of(record)[_BASE])
        for record in records
        if payload_of(record)[_MODEL] == state.metadata.base
    }
    return [found.get(query_id) for query_id in ids]


async def write_embeddings(state: IndexState, ids: Sequence[str], base: npt.NDArray[np.float32]) -> None:
    """Replace the base embeddings ``(n, d)`` of queries."""
    for page in pages(list(zip(ids, base, strict=True)), _PAGE):
        operations = [_setting(query_id, _embedding(row, state)) for query_id, row in page]
        await state.engine.batch_update_points(query_log(state.collection), operations)


async def claim_queries(
    state: IndexState, queries: Sequence[LoggedQuery], token: str, pending: Mapping[str, Any]
) -> set[str]:
    """Note a decision about queries that is about to be carried out, unless somebody else has decided meanwhile.

    Args:
        state: The index.
        queries: Queries as they were read.
        token: Token of the decision.
        pending: The decision.

    Returns:
        Ids of the queries that somebody else has decided about, or removed.
    """
    by_turn: dict[int, list[str]] = {}
    for query in queries:
        by_turn.setdefault(query.turn, []).append(query.id)
    lost: set[str] = set()
    for turn, ids in by_turn.items():
        values = {_PENDING: dict(pending), _TURN: turn + 1, _DECIDED_BY: token}
        seen = equals(_TURN, turn) if turn else is_empty(_TURN)
        lost |= await _write_if(state, ids, values, seen, _DECIDED_BY, token)
    return lost


async def settle_queries(
    state: IndexState, ids: Sequence[str], token: str, resolution: Mapping[str, Any] | None
) -> set[str]:
    """Note that a claimed decision was carried out, unless somebody else has decided meanwhile.

    Returns:
        Ids of the queries that somebody else has decided about, or removed.
    """
    # the engine drops a key that is set to null
    values = {_RESOLUTION: None if resolution is None else dict(resolution), _PENDING: None}
    return await _write_if(state, ids, values, equals(_DECIDED_BY, token), _DECIDED_BY, token)


async def note_judgement(
    state: IndexState, query_id: str, turn: int, token: str, judgement: Mapping[str, Any] | None
) -> bool:
    """Note what somebody found an answer to be, unless somebody else has judged it meanwhile.

    Args:
        state: The index.
        query_id: Id of the query.
        turn: Number of judgements that were seen.
        token: Token of the judgement.
        judgement: The judgement, ``None`` to take it back.

    Returns:
        Whether it was noted.
    """
    values = {_JUDGEMENT: None if judgement is None else dict(judgement), JUDGEMENT_TURN: turn + 1, JUDGED_BY: token}
    seen = equals(JUDGEMENT_TURN, turn) if turn else is_empty(JUDGEMENT_TURN)
    return not await _write_if(state, [query_id], values, seen, JUDGED_BY, token)


async def _write_if(
    state: IndexState,
    ids: Sequence[str],
    values: Mapping[str, Any],
    condition: models.Condition,
    key: str,
    token: str,
) -> set[str]:
    """Write to the entries that match, and return the ids of those that do not have this token afterwards."""
    name = query_log(state.collection)
    lost = set(ids)
    for page in pages(ids, _PAGE):
        matching = models.Filter(must=[has_ids(page), condition])
        setting = models.SetPayload(payload=dict(values), filter=matching)
        try:
            await state.engine.batch_update_points(name, [models.SetPayloadOperation(set_payload=setting)])
            records = await state.engine.retrieve(name, page, with_payload=[key], copies="most")
        except Exception as error:
            if not is_not_found(error):
                raise
            return lost  # somebody has removed the log
        lost -= {str(record.id) for record in records if payload_of(record).get(key) == token}
    return lost


async def remove_queries(state: IndexState, ids: Sequence[str]) -> None:
    """Remove queries."""
    name = query_log(state.collection)

    async def remove() -> None:
        for page in pages(ids, _PAGE):
            await state.engine.delete(name, page)

    await in_log(state, name, query_log_indexes(state.metadata.settings), remove, None)


def query_id_of(text: str, tenant: str | None) -> str:
    """Id of a query in the log. Texts with the same :func:`normalised_text` have the same id."""
    return str(point_id(f"question:{normalised_text(text)}", tenant=tenant))


async def _ids_of(state: IndexState, name: str, texts: Sequence[str]) -> dict[str, str]:
    """Ids of queries in the log, by their texts.

    An entry of a development version has an id that ignores all punctuation. It goes on as the entry of the text that
    it was made for, with what was decided about it, and of no other: "in C" is not the "in C#?" that has its id there.
    """
    earlier = {text: str(point_id(f"query:{earlier_normalised_text(text)}", tenant=state.tenant)) for text in texts}
    ids = {text: query_id_of(text, state.tenant) for text in texts}
    made_for: dict[str, str] = {}
    for page in pages([earlier[text] for text in texts], _PAGE):
        records = await state.engine.retrieve(name, ids=list(dict.fromkeys(page)), with_payload=["text"])
        made_for |= {str(record.id): query_id_of(payload_of(record)["text"], state.tenant) for record in records}
    return {text: earlier[text] if made_for.get(earlier[text]) == ids[text] else ids[text] for text in texts}


async def _records(state: IndexState, keys: Sequence[str], ids: Sequence[str] | None = None) -> list[models.Record]:
    if ids is None:
        return await _scrolled(state, keys, _own(state))
    name = query_log(state.collection)

    async def read() -> list[models.Record]:
        found: list[models.Record] = []
        for page in pages([query_id for query_id in ids if is_uuid(query_id)], _PAGE):  # no log holds any other id
            records = await state.engine.retrieve(name, ids=page, with_payload=[*keys, TENANT])
            found += [record for record in records if payload_of(record).get(TENANT) == state.tenant]
        return found

    return await in_log(state, name, query_log_indexes(state.metadata.settings), read, [])


async def _scrolled(state: IndexState, keys: Sequence[str], scope: models.Filter | None) -> list[models.Record]:
    name = query_log(state.collection)

    async def read() -> list[models.Record]:
        everything = scroll_pages(state.engine, name, page_size=_PAGE, scroll_filter=scope, with_payload=[*keys])
        return [record async for page in everything for record in page]

    return await in_log(state, name, query_log_indexes(state.metadata.settings), read, [])


async def _make_room(state: IndexState, name: str) -> None:
    """Drop the queries that were not asked for longest, if there are too many."""
    if await state.engine.count(name, _own(state)) <= MOST_QUERIES:
        return
    records = await _records(state, ["last"])
    oldest = sorted(records, key=lambda record: str(payload_of(record)["last"]))[: len(records) - _KEPT]
    await remove_queries(state, [str(record.id) for record in oldest])


def _own(state: IndexState) -> models.Filter | None:
    if state.tenant is None:
        return None
    return models.Filter(must=[equals(TENANT, state.tenant)])


def _result(asked: AskedQuery, state: IndexState) -> dict[str, Any]:
    return {
        "last": asked.time,
        "decision": asked.decision,
        "uncertain": asked.uncertain,
        "reason": asked.reason,
        "query_confidence": asked.query_confidence,
        "confidence": asked.confidence,
        _CALIBRATION: None if asked.confidence is None or state.calibration is None else state.calibration.key,
        _EVIDENCE: None if asked.evidence is None else [*asked.evidence],
        "nearest": None if asked.nearest is None else vars(asked.nearest),
        **_embedding(asked.base, state),
    }


def _setting(query_id: str, values: Mapping[str, Any]) -> models.SetPayloadOperation:
    """Write to an entry. By its id, an entry that somebody has removed meanwhile would be an error."""
    own = models.Filter(must=[has_ids([query_id])])
    return models.SetPayloadOperation(set_payload=models.SetPayload(payload=dict(values), filter=own))


def _embedding(base: npt.ArrayLike, state: IndexState) -> dict[str, Any]:
    """Payload of an embedding. It is a string, since another base model may have vectors of another dimension."""
    # unit length, so that no number overflows half precision; cosines are right to three digits
    halves = unit_rows(np.asarray(base, dtype=np.float32)[np.newaxis])[0].astype("<f2")
    return {_BASE: base64.b64encode(halves.tobytes()).decode("ascii"), _MODEL: state.metadata.base}


def _decoded(text: str) -> npt.NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text), dtype="<f2").astype(np.float32)
