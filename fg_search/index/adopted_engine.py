"""Engine of an adopted collection, whose points it returns as if the index had written them.

A point that was not synced yet has no features of the index's encoder. As soon as somebody reads it, what its features
would say is computed from its base vector, and stored nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from qdrant_client import models
from qdrant_client.http.models import QueryResponse

from fg_search.engine.consistency import Copies
from fg_search.engine.port import Engine, PointId
from fg_search.index.state import IndexState
from fg_search.layout.keys import BASE_VECTOR, FEATURES_VECTOR, PAYLOAD_KEY
from fg_search.layout.points import described_features, id_of, payload_of, vectors_of
from fg_search.layout.schema import IndexMetadata
from fg_search.layout.source import Point, Source, asks_for_ours, asks_for_text
from fg_search.model.embeddings import FeatureEmbeddings

Payload = bool | Sequence[str] | models.PayloadSelectorExclude
Compute = Callable[[npt.NDArray[np.float32]], FeatureEmbeddings]


def with_source(state: IndexState) -> IndexState:
    """The state with the engine that its collection needs: one that knows where others have put things, or not."""
    engine = state.engine
    if isinstance(engine, AdoptedEngine):
        engine = engine.engine
    state = replace(state, engine=engine)
    if state.metadata.source is None:
        return state
    adopted = AdoptedEngine(state, state.metadata.source, lambda base: state.encoder.features(base))
    return replace(state, engine=cast("Engine", adopted))


def own_engine(state: IndexState) -> Engine:
    """Engine that returns points as they are stored."""
    return state.engine.engine if isinstance(state.engine, AdoptedEngine) else state.engine


class AdoptedEngine:
    """Engine that translates what is read from, and written to, one collection. Other calls go through unchanged.

    Args:
        state: The index, with the engine that returns points as they are stored.
        source: Where the collection has vector, text and label.
        compute: Makes features of base vectors, by the index's encoder.
    """

    def __init__(self, state: IndexState, source: Source, compute: Compute) -> None:
        self.engine = state.engine
        self._names = {state.collection, state.points}
        self._collection = state.points
        self._metadata: IndexMetadata = state.metadata
        self._was_renewed = state.was_re_encoded
        self._source = source
        self._compute = compute

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def retrieve(
        self,
        collection: str,
        ids: Sequence[PointId],
        *,
        with_payload: bool | Sequence[str] = True,
        with_vectors: bool | Sequence[str] = False,
        **options: Any,
    ) -> list[models.Record]:
        """As :meth:`Engine.retrieve`."""
        if collection not in self._names:
            return await self.engine.retrieve(
                collection, ids, with_payload=with_payload, with_vectors=with_vectors, **options
            )
        asked = {"with_payload": self._keys(with_payload), "with_vectors": self._vectors(with_vectors)}
        found = await self.engine.retrieve(collection, ids, **asked, **options)
        return await self._as_read(found, with_payload, with_vectors)

    async def scroll(
        self, collection: str, *, with_payload: Payload = True, with_vectors: Any = False, **options: Any
    ) -> tuple[list[models.Record], PointId | None]:
        """As :meth:`Engine.scroll`."""
        if collection not in self._names:
            return await self.engine.scroll(collection, with_payload=with_payload, with_vectors=with_vectors, **options)
        asked = {"with_payload": self._keys(with_payload), "with_vectors": self._vectors(with_vectors)}
        found, offset = await self.engine.scroll(collection, **asked, **options)
        return await self._as_read(found, with_payload, with_vectors), offset

    async def query_batch_points(
        self, collection: str, requests: Sequence[models.QueryRequest], *, copies: Copies = "any"
    ) -> list[QueryResponse]:
        """As :meth:`Engine.query_batch_points`.

        Raises:
            ModelMismatchError: If the index has got another encoder since it was opened.
        """
        if collection not in self._names:
            return await self.engine.query_batch_points(collection, requests, copies=copies)
        asked = [self._request(request) for request in requests]
        try:
            responses = await self.engine.query_batch_points(collection, asked, copies=copies)
        except Exception as error:
            info = await self.engine.get_collection(self._collection)
            if IndexMetadata.of_collection(self._collection, info).fingerprint == self._metadata.fingerprint:
                raise
            raise self._was_renewed() from error  # the vector that was asked for is gone
        return [
            response.model_copy(
                update={"points": await self._as_read(response.points, request.with_payload, request.with_vector)}
            )
            for request, response in zip(requests, responses, strict=True)
        ]

    async def upsert(self, collection: str, points: Sequence[models.PointStruct], **options: Any) -> None:
        """As :meth:`Engine.upsert`."""
        if collection in self._names:
            points = [self._source.as_stored(point) for point in points]
        await self.engine.upsert(collection, points, **options)

    def _request(self, request: models.QueryRequest) -> models.QueryRequest:
        changes: dict[str, Any] = {}
        if request.with_payload is not None:
            changes["with_payload"] = self._keys(request.with_payload)
        if request.with_vector is not None:
            changes["with_vector"] = self._vectors(request.with_vector)
        if request.using is not None:
            changes["using"] = self._source.own_name(request.using) or None
        if isinstance(request.prefetch, models.Prefetch) and request.prefetch.using is not None:
            name = self._source.own_name(request.prefetch.using) or None
            changes["prefetch"] = request.prefetch.model_copy(update={"using": name})
        return request.model_copy(update=changes)

    def _keys(self, chosen: Any) -> Any:
        return self._source.asked_keys(chosen) if isinstance(chosen, (list, tuple)) else chosen

    def _vectors(self, chosen: Any) -> Any:
        return [self._source.own_name(name) for name in chosen] if isinstance(chosen, (list, tuple)) else chosen

    async def _as_read(self, points: Sequence[Point], chosen: Any, vectors: Any) -> list[Point]:
        """Points as the index reads them. Those without a base vector are no items, and left out if that shows.

        Args:
            points: Points that the engine returned.
            chosen: What of the payload was asked for.
            vectors: Which vectors were.
        """
        some = isinstance(chosen, (list, tuple))
        asks = asks_for_ours(chosen) if some else bool(chosen)
        with_text = asks_for_text(chosen) if some else bool(chosen)
        wanted = vectors if isinstance(vectors, (list, tuple)) else ()
        wants_features = FEATURES_VECTOR in wanted
        if BASE_VECTOR in wanted:
            points = [point for point in points if BASE_VECTOR in (self._source.vectors_of(point) or ())]
        lacking = {
            id_of(point)
            for point in points
            if (asks and self._is_unsynced(point))
            or (wants_features and FEATURES_VECTOR not in (self._source.vectors_of(point) or ()))
        }
        computed = await self._computed(list(lacking)) if lacking else {}
        read: list[Point] = []
        for point in points:
            if id_of(point) not in lacking:
                read.append(self._source.as_read(point, with_text=with_text))
            elif id_of(point) in computed:
                known = computed[id_of(point)]
                completed = known.completed(point, self._source) if asks else point
                found = self._source.as_read(completed, with_text=asks)
                if wants_features:
                    found = found.model_copy(update={"vector": {**vectors_of(found), FEATURES_VECTOR: known.vector}})
                read.append(found)
        return read

    def _is_unsynced(self, point: Point) -> bool:
        own = payload_of(point).get(PAYLOAD_KEY)
        model = own.get("model") if isinstance(own, dict) else None
        return model is None or model == self._source.former

    async def _computed(self, ids: Sequence[PointId]) -> dict[PointId, _Computed]:
        """What features say of points, by id."""
        records = await self.engine.retrieve(
            self._collection,
            ids,
            with_payload=[PAYLOAD_KEY, *self._source.top_keys(self._source.keys)],
            with_vectors=[self._source.vector],
        )
        vectors = [self._source.vectors_of(record) or {} for record in records]
        there = [i for i, found in enumerate(vectors) if BASE_VECTOR in found]
        if not there:
            return {}
        base = np.array([vectors[i][BASE_VECTOR] for i in there], dtype=np.float32)
        embeddings = await self.engine.work(partial(self._compute, base))
        described = described_features(embeddings, self._metadata)
        return {
            id_of(records[i]): _Computed(payload_of(records[i]), vector, features)
            for i, (vector, features) in zip(there, described, strict=True)
        }


@dataclass(frozen=True)
class _Computed:
    """What was computed for a point.

    Attributes:
        stored: Its payload: text, label, and our part, if there is any.
        vector: Its vector of features.
        features: What our part of the payload says of them.
    """

    stored: Mapping[str, Any]
    vector: models.SparseVector
    features: Mapping[str, Any]

    def completed(self, point: Point, source: Source) -> Point:
        """The point with our part of its payload."""
        own = self.stored.get(PAYLOAD_KEY)
        own = own if isinstance(own, dict) else {}
        label = None if own.keys() & {"model", "label", "given_label"} else source.label_of(self.stored)
        payload = {
            **{key: value for key, value in self.stored.items() if key != PAYLOAD_KEY},
            **payload_of(point),
            PAYLOAD_KEY: {"hash": "", **own, **({} if label is None else {"label": label}), **self.features},
        }
        return point.model_copy(update={"payload": payload})
