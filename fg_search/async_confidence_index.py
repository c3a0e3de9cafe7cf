"""AsyncConfidenceIndex: the same index for code that runs on an event loop."""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from qdrant_client import AsyncQdrantClient, models
from typing_extensions import Self

from fg_search.engine.connection import connect_async
from fg_search.engine.operations import Operation, T, run_async
from fg_search.errors import ModelMismatchError
from fg_search.ids import UserId
from fg_search.index import (
    collections,
    evaluation,
    info,
    ingestion,
    migration,
    refit,
    relevance,
    removal,
    snapshots,
)
from fg_search.index import (
    labels as item_labels,
)
from fg_search.index.calibration import Calibration
from fg_search.index.evaluation import IndexEvaluation
from fg_search.index.info import IndexInfo
from fg_search.index.ingestion import AddReport
from fg_search.index.query_vectors import Query
from fg_search.index.relevance import Relevant
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import GroupedResult, SearchResult
from fg_search.index.state import IndexState, OpenIndex, load_encoder
from fg_search.layout.schema import IndexMetadata
from fg_search.layout.settings import DEFAULT_COLLECTION, IndexSettings
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.queries import decisions as query_decisions
from fg_search.queries import logged_search
from fg_search.queries.clusters import MissingLabel
from fg_search.queries.entries import LEAST_SIZE, SIMILARITY, LoggedQuery, Logging, QueryAction, check_logging
from fg_search.review import confused_labels, item_scores, label_scores, workflow
from fg_search.review.decisions import Action, Decision
from fg_search.review.issues.confusion import ConfusedLabels
from fg_search.review.item_scores import ItemScores
from fg_search.review.items import ReviewItem
from fg_search.review.label_scores import LabelScores
from fg_search.review.queue import ReviewOptions, listed

if TYPE_CHECKING:
    from fg_search.engine.connection import Client, Location
    from fg_search.model.encoder import FeatureGroupEncoder

    AsyncLocation: TypeAlias = Location | AsyncQdrantClient


class AsyncConfidenceIndex:
    """A :class:`ConfidenceIndex` whose methods are coroutines, with the same arguments, results and errors.

    It has all of them but ``copy_to``, and no progress bars: nothing takes ``show_progress``, and ``add`` no ``total``.

    A server is asked through ``AsyncQdrantClient``; the embedded engine and the encoder run in threads, so the event
    loop is never blocked. Open it with ``async with``, or with :meth:`open` and :meth:`close`.

    Args:
        location: As for :class:`ConfidenceIndex`, or a ready ``AsyncQdrantClient``.
        encoder: As for :class:`ConfidenceIndex`.
        collection: As for :class:`ConfidenceIndex`.
        api_key: For a server.
        settings: As for :class:`ConfidenceIndex`.

    Example:
        >>> async with AsyncConfidenceIndex("http://localhost:6333", encoder) as index:  # doctest: +SKIP
        ...     print(await index.search("my card was eaten"))
    """

    def __init__(
        self,
        location: AsyncLocation,
        encoder: FeatureGroupEncoder | str | os.PathLike[str] | None = None,
        *,
        collection: str = DEFAULT_COLLECTION,
        api_key: str | None = None,
        settings: IndexSettings | None = None,
    ) -> None:
        self.collection = collection
        self._location, self._encoder = location, encoder
        self._api_key, self._settings = api_key, settings
        self._owns_client = isinstance(location, (str, os.PathLike))
        self._client: Client | AsyncQdrantClient | None = None
        self._opened: OpenIndex | None = None
        self._tenant: str | None = None
        self._logging: Logging = "none"
        self._deciding = asyncio.Lock()  # decisions are numbered, and depend on one another

    async def open(self) -> Self:
        """Connect, and make the index if it is not there; ``async with`` does it by itself.

        Raises:
            As :class:`ConfidenceIndex`.
        """
        encoder = self._encoder
        known = await asyncio.to_thread(load_encoder, encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
        if known is not None:
            await asyncio.to_thread(lambda: known.fingerprint)
        self._client, name = await connect_async(self._location, api_key=self._api_key, create=encoder is not None)
        try:
            self._opened = OpenIndex(
                await self._run(collections.open_index(name, self.collection, known, self._settings))
            )
        except BaseException:
            await self.close()
            raise
        return self

    @classmethod
    async def restore(
        cls,
        file: str | os.PathLike[str],
        location: AsyncLocation,
        *,
        encoder: FeatureGroupEncoder | str | os.PathLike[str] | None = None,
        collection: str = DEFAULT_COLLECTION,
        api_key: str | None = None,
    ) -> Self:
        """As :meth:`ConfidenceIndex.restore`; the index is open: leave it with ``async with``, or close it."""
        path = snapshots.existing_file(file)
        known = await asyncio.to_thread(load_encoder, encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
        index = cls(location, known, collection=collection, api_key=api_key)
        index._client, name = await connect_async(location, api_key=api_key)
        try:
            await index._run(snapshots.restore(index._client, name, collection, path, known, api_key))
        finally:
            await index.close()
        return await index.open()

    async def close(self) -> None:
        """Release the folder or the connection; a client that was handed in is left open."""
        client, self._client = self._client, None
        if client is None or not self._owns_client:
            return
        closing = client.close() if inspect.iscoroutinefunction(client.close) else asyncio.to_thread(client.close)
        await closing

    async def __aenter__(self) -> Self:
        return await self.open() if self._client is None else self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncConfidenceIndex({self._location!r}, collection={self.collection!r})"

    @property
    def location(self) -> str:
        """As of :class:`ConfidenceIndex`."""
        return self._state.location

    @property
    def encoder(self) -> FeatureGroupEncoder:
        """As of :class:`ConfidenceIndex`; where it has to be loaded first, that blocks the event loop."""
        return self._state.encoder

    @property
    def metadata(self) -> IndexMetadata:
        """As of :class:`ConfidenceIndex`."""
        return self._state.metadata

    @property
    def calibration(self) -> Calibration | None:
        """As of :class:`ConfidenceIndex`."""
        return self._state.calibration

    def tenant(self, tenant: str) -> Self:
        """As :meth:`ConfidenceIndex.tenant`; not a coroutine."""
        chosen = copy.copy(self)
        chosen._tenant = self._shared.state.of_tenant(tenant).chosen_tenant
        chosen._owns_client = False
        return chosen

    async def count(self) -> int:
        """Number of items; ``len(index)`` of a :class:`ConfidenceIndex`."""
        return await self._run(info.count(self._state))

    async def add(
        self,
        texts: Iterable[str],
        *,
        ids: Iterable[UserId] | None = None,
        labels: Iterable[str | None] | None = None,
        payloads: Iterable[Mapping[str, Any] | None] | None = None,
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int = 64,
    ) -> AddReport:
        """As :meth:`ConfidenceIndex.add`, without a progress bar."""
        items = await asyncio.to_thread(ingestion.items_of, self._state, texts, ids, labels, payloads, embeddings)
        return await self._run(
            ingestion.add(self._state, items, embeddings, batch_size=batch_size, progress=lambda _: None)
        )

    async def delete(self, ids: Sequence[UserId] | None = None, *, query_filter: models.Filter | None = None) -> int:
        """As :meth:`ConfidenceIndex.delete`."""
        return await self._run(removal.delete(self._state, ids, query_filter))

    async def relabel(self, labels: Mapping[UserId, str | None]) -> int:
        """As :meth:`ConfidenceIndex.relabel`."""
        return await self._run(item_labels.relabel(self._state, labels))

    async def search(
        self,
        query: Query,
        *,
        embedding: FeatureEmbeddings | None = None,
        log: Logging | None = None,
        **options: Any,
    ) -> SearchResult:
        """As :meth:`ConfidenceIndex.search`."""
        chosen = SearchOptions(**options)
        which = self._logging if log is None else check_logging(log)
        found = await self._find(lambda state: logged_search.search_texts(state, [query], chosen, embedding, which))
        return found[0]

    async def search_many(
        self,
        queries: Sequence[Query],
        *,
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int = 64,
        log: Logging | None = None,
        **options: Any,
    ) -> list[SearchResult]:
        """As :meth:`ConfidenceIndex.search_many`."""
        chosen = SearchOptions(**options)
        which = self._logging if log is None else check_logging(log)
        return await self._find(
            lambda state: logged_search.search_texts(state, queries, chosen, embeddings, which, batch_size=batch_size)
        )

    async def search_groups(
        self,
        query: Query,
        *,
        group_by: str,
        group_size: int = 3,
        embedding: FeatureEmbeddings | None = None,
        log: Logging | None = None,
        **options: Any,
    ) -> GroupedResult:
        """As :meth:`ConfidenceIndex.search_groups`."""
        chosen = SearchOptions(**options)
        which = self._logging if log is None else check_logging(log)
        return await self._find(
            lambda state: logged_search.search_groups(state, query, chosen, group_by, group_size, embedding, which)
        )

    @property
    def logging(self) -> Logging:
        """As of :class:`ConfidenceIndex`."""
        return self._logging

    def log_queries(self, which: Logging = "uncertain") -> None:
        """As :meth:`ConfidenceIndex.log_queries`; not a coroutine."""
        self._logging = check_logging(which)

    async def logged_queries(self, *, limit: int = 50, offset: int = 0, only_open: bool = True) -> list[LoggedQuery]:
        """As :meth:`ConfidenceIndex.logged_queries`."""
        return await self._run(query_decisions.logged(self._state, limit, offset, only_open=only_open))

    async def missing_labels(
        self, *, similarity: float = SIMILARITY, least_size: int = LEAST_SIZE, batch_size: int = 64
    ) -> list[MissingLabel]:
        """As :meth:`ConfidenceIndex.missing_labels`."""
        return await self._run(
            query_decisions.missing_labels(self._state, similarity, least_size, batch_size=batch_size)
        )

    async def decide_queries(
        self,
        ids: Sequence[str],
        action: QueryAction,
        label: str | None = None,
        *,
        reviewer: str = "anonymous",
        batch_size: int = 64,
    ) -> list[LoggedQuery]:
        """As :meth:`ConfidenceIndex.decide_queries`."""
        return await self._run(
            query_decisions.decide_queries(self._state, ids, action, label, reviewer, batch_size=batch_size)
        )

    async def forget_queries(self, ids: Sequence[str] | None = None, *, before: datetime | None = None) -> int:
        """As :meth:`ConfidenceIndex.forget_queries`."""
        return await self._run(query_decisions.forget_queries(self._state, ids, before))

    async def calibrate(
        self,
        queries: Sequence[Query],
        relevant: Sequence[Relevant],
        *,
        relevant_by: Literal["auto", "label", "id"] = "auto",
        embeddings: FeatureEmbeddings | None = None,
        seed: int = 0,
        batch_size: int = 64,
        **options: Any,
    ) -> Calibration:
        """As :meth:`ConfidenceIndex.calibrate`."""
        learned = await self._run(
            relevance.calibrate_on(
                self._state,
                queries,
                relevant,
                relevant_by,
                SearchOptions(**options),
                embeddings,
                seed=seed,
                batch_size=batch_size,
                show_progress=False,
            )
        )
        return self._shared.calibrated(learned)

    async def evaluate(
        self,
        queries: Sequence[Query],
        relevant: Sequence[Relevant],
        *,
        relevant_by: Literal["auto", "label", "id"] = "auto",
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int = 64,
        **options: Any,
    ) -> IndexEvaluation:
        """As :meth:`ConfidenceIndex.evaluate`."""
        return await self._run(
            evaluation.evaluate_on(
                self._state,
                queries,
                relevant,
                relevant_by,
                SearchOptions(**options),
                embeddings,
                batch_size=batch_size,
                show_progress=False,
            )
        )

    async def score_labels(self, *, seed: int = 0) -> LabelScores:
        """As :meth:`ConfidenceIndex.score_labels`."""
        return await self._run(label_scores.score_labels(self._state, seed=seed, progress=lambda _: None))

    async def score_items(self, *, seed: int = 0) -> ItemScores:
        """As :meth:`ConfidenceIndex.score_items`."""
        return await self._run(item_scores.score_items(self._state, seed=seed, progress=lambda _: None))

    async def confused_labels(self, limit: int = 20) -> list[ConfusedLabels]:
        """As :meth:`ConfidenceIndex.confused_labels`."""
        return await self._run(confused_labels.confused_labels(self._state, limit))

    async def review(self, **options: Any) -> list[ReviewItem]:
        """As :meth:`ConfidenceIndex.review`."""
        return await self._run(listed(self._state, ReviewOptions(**options)))

    async def decide(
        self,
        item_id: UserId,
        action: Action,
        label: str | None = None,
        *,
        reviewer: str = "anonymous",
        suggested: str | None = None,
        latest: int | None = None,
    ) -> Decision:
        """As :meth:`ConfidenceIndex.decide`."""
        async with self._deciding:
            return await self._run(
                workflow.decide(self._state, item_id, action, label, reviewer, suggested=suggested, latest=latest)
            )

    async def undo(self, number: int | None = None, *, reviewer: str = "anonymous") -> Decision:
        """As :meth:`ConfidenceIndex.undo`."""
        async with self._deciding:
            return await self._run(workflow.undo(self._state, number, reviewer))

    async def decisions(
        self,
        *,
        limit: int | None = None,
        item_id: UserId | None = None,
        standing: bool = False,
        since: datetime | None = None,
    ) -> list[Decision]:
        """As :meth:`ConfidenceIndex.decisions`."""
        async with self._deciding:
            return await self._run(
                workflow.decisions(self._state, limit=limit, item_id=item_id, standing=standing, since=since)
            )

    async def labels(self, limit: int = 1000) -> list[str]:
        """As :meth:`ConfidenceIndex.labels`."""
        return await self._run(item_labels.labels(self._state, limit))

    async def labels_of(self, ids: Sequence[UserId]) -> dict[UserId, str | None]:
        """As :meth:`ConfidenceIndex.labels_of`."""
        return await self._run(item_labels.labels_of(self._state, ids))

    async def info(self) -> IndexInfo:
        """As :meth:`ConfidenceIndex.info`."""
        return await self._run(info.describe_index(self._state))

    async def migrate(self, encoder: FeatureGroupEncoder | str | os.PathLike[str], *, batch_size: int = 64) -> None:
        """As :meth:`ConfidenceIndex.migrate`."""
        known = await asyncio.to_thread(load_encoder, encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
        await self._migrate(known, "as before", batch_size)

    async def refit(
        self,
        folder: str | os.PathLike[str],
        *,
        set_aside: float | None = None,
        seed: int = 0,
        batch_size: int = 64,
    ) -> FeatureGroupEncoder:
        """As :meth:`ConfidenceIndex.refit`."""
        encoder = await self._run(
            refit.refit(
                self._state, folder, set_aside=set_aside, seed=seed, batch_size=batch_size, progress=lambda _: None
            )
        )
        await self._migrate(encoder, set_aside, batch_size)
        return encoder

    async def snapshot(self, file: str | os.PathLike[str]) -> None:
        """As :meth:`ConfidenceIndex.snapshot`."""
        await self._run(snapshots.save(self._client, self._state, os.fspath(file), self._api_key))

    async def _migrate(
        self, encoder: FeatureGroupEncoder, set_aside: float | migration.AsBefore | None, batch_size: int
    ) -> None:
        shared = self._shared
        shared.migrated(
            await self._run(
                migration.migrate(
                    self._state,
                    encoder,
                    batch_size=batch_size,
                    progress=lambda _: None,
                    announce=shared.announce,
                    set_aside=set_aside,
                )
            )
        )

    @property
    def _state(self) -> IndexState:
        return self._shared.state.of(self._tenant)

    @property
    def _shared(self) -> OpenIndex:
        if self._opened is None or self._client is None:
            raise RuntimeError(f"{self!r} is not open; use `async with`, or await index.open()")
        return self._opened

    async def _find(self, search: Callable[[IndexState], Operation[T]]) -> T:
        """As of :class:`ConfidenceIndex`."""
        state = self._shared.state
        while True:
            try:
                return await self._run(search(state.of(self._tenant)))
            except ModelMismatchError:
                newer = self._shared.after(state)
                if newer is None:
                    raise
                state = newer

    async def _run(self, operation: Operation[T]) -> T:
        return await run_async(self._client, operation)
