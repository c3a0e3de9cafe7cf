"""AsyncConfidenceIndex: a corpus in Qdrant whose points know how sure their embedding is, for an event loop.

``confidence_index.py`` is generated from this file by ``scripts/generate_sync.py``.
"""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping, Sequence, Sized
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from qdrant_client import models
from typing_extensions import Self

from fg_search._deprecation import renamed_parameters
from fg_search.confidence.traffic_shift import TrafficShift
from fg_search.engine.asynchronous import AsyncEngine
from fg_search.engine.connection import AsyncLocation, as_written, connect_async, is_path
from fg_search.errors import IndexClosedError
from fg_search.html_table import html_facts
from fg_search.ids import UserId
from fg_search.index import (
    adaptation,
    copies,
    corpus_calibration,
    evaluation,
    filterable,
    health,
    image_items,
    info,
    ingestion,
    judged_calibration,
    migration,
    opening,
    quality_history,
    recovery,
    refit,
    removal,
    snapshots,
)
from fg_search.index import items as index_items
from fg_search.index import labels as item_labels
from fg_search.index.adoption import adopting, preparing, renewing, undoing
from fg_search.index.adoption.options import MOST_LEARNED, AdoptionOptions
from fg_search.index.adoption.planning import AdoptionPlan
from fg_search.index.adoption.sync import SyncReport
from fg_search.index.adoption.undoing import UndoReport
from fg_search.index.calibration import Calibration
from fg_search.index.copies import CopyReport
from fg_search.index.crew import AsBefore
from fg_search.index.encoders import ready_encoder
from fg_search.index.evaluation import IndexEvaluation
from fg_search.index.following import on_current_collection, on_current_encoder
from fg_search.index.health import IndexHealth
from fg_search.index.info import IndexInfo
from fg_search.index.ingestion import AddReport
from fg_search.index.item_pages import ItemOrder, ItemPage, item_page
from fg_search.index.items import IndexedItem
from fg_search.index.quality_history import QualityEntry
from fg_search.index.query_vectors import Query, given_queries, given_query, given_sample
from fg_search.index.recovery import LostCollection
from fg_search.index.relevance import Relevant
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import GroupedResult, SearchResult
from fg_search.index.similar_items import SimilarItem, similar_items
from fg_search.index.state import IndexState, OpenIndex
from fg_search.layout.names import index_name
from fg_search.layout.schema import IndexMetadata
from fg_search.layout.settings import DEFAULT_COLLECTION, IndexSettings
from fg_search.model.embeddings import FeatureEmbeddings
from fg_search.model.progress import progress_bar
from fg_search.queries import audit as answer_audit
from fg_search.queries import audited_answers, logged_search, missing_labels, traffic
from fg_search.queries import decisions as query_decisions
from fg_search.queries.audit import TARGET, AnswerAudit, JudgeAction
from fg_search.queries.audited_answers import AuditedAnswer
from fg_search.queries.clusters import MissingLabel
from fg_search.queries.entries import MIN_SIZE, SIMILARITY, LoggedQuery, Logging, QueryAction, check_logging
from fg_search.queries.traffic import Traffic
from fg_search.review import confused_labels, exchange, item_scores, label_scores, queue, workflow
from fg_search.review.decisions import Action, ReviewDecision, check_reviewer
from fg_search.review.exchange_reports import PullReport, PushReport
from fg_search.review.exchanged_log import Choice
from fg_search.review.issues.confusion import ConfusedLabels
from fg_search.review.item_scores import ItemScores
from fg_search.review.items import Kind, ReviewItem
from fg_search.review.label_scores import LabelScores
from fg_search.review.review_options import ReviewOptions
from fg_search.validation import check_count

if TYPE_CHECKING:
    from PIL.Image import Image

    from fg_search.model.encoder import FeatureGroupEncoder

T = TypeVar("T")


class AsyncConfidenceIndex:
    """Adds, searches and reviews items. The engine is Qdrant, embedded or remote.

    It is for code on an event loop, which is never blocked: a server is asked through ``AsyncQdrantClient``, the
    embedded engine and the encoder run in threads. Open the index with ``async with``, or with :meth:`open` and
    :meth:`close`.

    Several tasks may share one index.

    Args:
        location: A folder (embedded Qdrant Edge), ``":memory:"`` (qdrant-client's local mode), the URL of a Qdrant
            server, a list of the URLs of several nodes of one cluster (when one does not answer, the next one is
            asked), or a client with ``QdrantClient``'s methods, which stays yours to close.
        encoder: A fitted encoder, or the folder of a saved one. By default the encoder that the index remembers is
            loaded when it is first needed.
        collection: Name of the index. In Qdrant it is an alias of the collection that holds the points.
        api_key: API key of the server.
        settings: Layout of a new index. An existing index must have been made with the same settings.
        retry_for: Seconds for which a server that is busy or out of reach is asked again, by default
            ``FG_SEARCH_RETRY_FOR`` of the environment, or 60.
        prefer_grpc: Ask a server over gRPC, as a URL with the scheme ``grpc`` does.

    Raises:
        IndexNotFoundError: If there is no index and no encoder to make one with, or the collection is not an index.
        ModelMismatchError: If another encoder filled the index.
        FolderLockedError: If the folder is open in another client.
        NotFittedError: If the encoder has no trained head.
        ServerError: If a server does not answer, refuses the API key, is too old, or is none of Qdrant.
        ValueError: If the index was made with other settings, or its name cannot be one.

    Example:
        >>> async with AsyncConfidenceIndex("support-index", encoder) as index:  # doctest: +SKIP
        ...     await index.add(texts, labels=labels)
        ...     print(await index.search("my card was eaten", min_confidence=0.6))
    """

    def __init__(
        self,
        location: AsyncLocation,
        encoder: FeatureGroupEncoder | str | os.PathLike[str] | None = None,
        *,
        collection: str = DEFAULT_COLLECTION,
        api_key: str | None = None,
        settings: IndexSettings | None = None,
        retry_for: float | None = None,
        prefer_grpc: bool = False,
    ) -> None:
        self.collection = index_name(collection)
        location = as_written(location)
        self._given, self._owns_client = location, is_path(location)
        self._encoder, self._settings, self._api_key = encoder, settings, api_key
        self._retry_for, self._prefer_grpc = retry_for, prefer_grpc
        self._tenant: str | None = None
        self._logging: Logging = "none"
        self._deciding = asyncio.Lock()  # decisions are numbered, and depend on one another
        self._engine: AsyncEngine | None = None
        self._open_index: OpenIndex | None = None
        # sync: self._open()

    async def open(self) -> Self:  # sync name: _open
        """Connect, and make the index if it does not exist. ``async with`` does this for you.

        Raises:
            Exception: What the class raises.
        """
        known = await asyncio.to_thread(ready_encoder, self._encoder)
        self._engine = await connect_async(
            self._given,
            api_key=self._api_key,
            create=known is not None,
            retry_for=self._retry_for,
            prefer_grpc=self._prefer_grpc,
        )
        try:
            state = await opening.open_index(self._engine, self.collection, known, self._settings)
            self._open_index = state.handle
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
        retry_for: float | None = None,
        prefer_grpc: bool = False,
    ) -> Self:
        """Bring back an index from a file that :meth:`snapshot` wrote.

        An index of this name is replaced as a whole, with its logs of decisions and queries.

        The index is open: leave it with ``async with``, or close it. The event loop is never blocked.

        Args:
            file: Snapshot. That of a single server goes to servers alone.
            location: As for the class.
            encoder: As for the class.
            collection: Name of the restored index.
            api_key: API key of the server.
            retry_for: As for the class.
            prefer_grpc: As for the class.

        Raises:
            StorageError: If the file is missing, damaged, or of another kind of engine. Nothing was changed.
            IndexNotFoundError: If it holds a collection that is not an index. Nothing was changed.
            ModelMismatchError: If another encoder filled it. Nothing was changed.
            UnsupportedError: If a server has made it, and a client was handed in.
        """
        path, collection = snapshots.existing_file(file), index_name(collection)
        location = as_written(location)
        known = await asyncio.to_thread(ready_encoder, encoder)
        with snapshots.no_folder_left(location):
            engine = await connect_async(location, api_key=api_key, retry_for=retry_for, prefer_grpc=prefer_grpc)
            try:
                await snapshots.restore(engine, collection, path, known)
            finally:
                if is_path(location):
                    await engine.close()
        opened = partial(cls, location, known, collection=collection, api_key=api_key)
        # sync: return opened(retry_for=retry_for, prefer_grpc=prefer_grpc)
        return await opened(retry_for=retry_for, prefer_grpc=prefer_grpc).open()  # async only

    @classmethod
    async def recover(
        cls,
        location: AsyncLocation,
        *,
        collection: str = DEFAULT_COLLECTION,
        source: str | None = None,
        api_key: str | None = None,
        retry_for: float | None = None,
        prefer_grpc: bool = False,
    ) -> LostCollection:
        """Give an index its name back, if its alias was lost while the collection it led to is still there.

        Args:
            location: As for the class.
            collection: Name of the index.
            source: Collection that the name is to lead to. It may be left out if only one complete one is there.
            api_key: API key of the server.
            retry_for: As for the class.
            prefer_grpc: As for the class.

        Returns:
            The collection that has the name now.

        Raises:
            IndexNotFoundError: If there is nothing to recover, or not that collection.
            ValueError: If the index has its name, or there are several collections to choose from.
        """
        location = as_written(location)
        engine = await connect_async(
            location, api_key=api_key, create=False, retry_for=retry_for, prefer_grpc=prefer_grpc
        )
        try:
            return await recovery.recover(engine, collection, source)
        finally:
            if is_path(location):
                await engine.close()

    @classmethod
    async def adopt(
        cls,
        location: AsyncLocation,
        *,
        collection: str,
        text: str | Sequence[str],
        vector: str = "",
        label: str | None = None,
        attributes: Sequence[str] = (),
        encoder: FeatureGroupEncoder | str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        max_learned: int = MOST_LEARNED,
        seed: int = 0,
        api_key: str | None = None,
        retry_for: float | None = None,
        prefer_grpc: bool = False,
        show_progress: bool | None = None,
    ) -> Self:
        """Make an index of a collection that is there already, and stays where it is and what it is.

        Base vectors, ids, payload and other vectors are not touched. The collection gets a sparse vector
        ``features``, a payload key ``fg``, payload indexes of what is in it, and metadata; :meth:`undo_adoption`
        removes them. An interruption leaves a collection that others can use as before; call the method again to go on.

        The head is learned from the collection's own vectors: on labels or attributes if it has any, otherwise on
        clusters. Points that others write later are found by :meth:`sync`.

        The index is open: leave it with ``async with``, or close it. The event loop is never blocked.

        Args:
            location: As for the class.
            collection: Name of the collection, and of the index.
            text: Payload path of the text that is shown, such as ``"title"`` or ``"product.name"``, or several, whose
                texts are joined. It is read there, never copied.
            vector: Name of the dense vector that is the base embedding. By default it is the unnamed one.
            label: Payload path of the label. Corrections are kept beside it, in ``fg``.
            attributes: Payload paths of attributes. Each gets a group of its own.
            encoder: The model that made the vectors, as an encoder with a trained head or without, or the folder of
                a saved one. By default there is no model: the index is searched by vectors.
            folder: Folder to save the encoder in, once it has learned. One of the same base model that is there already
                is used as it is. Without a folder, the encoder has to be passed whenever the index is opened.
            max_learned: Number of points that the head learns from, at most. They are read into memory.
            seed: Random seed.
            api_key: API key of the server.
            retry_for: As for the class.
            prefer_grpc: As for the class.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Raises:
            FileExistsError: If the folder has another encoder than the one that was given, or something else.
            IndexNotFoundError: If there is no such collection.
            ModelMismatchError: If the encoder's model did not make the vectors, or another encoder was used before an
                interruption.
            UnsupportedError: If the server is older than 1.18, or the collection is of a kind that cannot be adopted.
            ValueError: If the collection is an index already, has no such vector, or uses the payload key ``fg``.
        """
        location, collection = as_written(location), index_name(collection)
        options = AdoptionOptions(vector, text, label, attributes, encoder, folder, max_learned, seed)
        engine = await connect_async(
            location, api_key=api_key, create=False, retry_for=retry_for, prefer_grpc=prefer_grpc
        )
        try:
            with progress_bar(None, show_progress, "read") as advance:
                target, known = await preparing.prepare(engine, collection, options, advance)
            with progress_bar(await engine.count(target.points), show_progress, "adopt") as advance:
                await adopting.adopt(engine, target, known, advance)
        finally:
            if is_path(location):
                await engine.close()
        opened = partial(cls, location, known, collection=collection, api_key=api_key)
        # sync: return opened(retry_for=retry_for, prefer_grpc=prefer_grpc)
        return await opened(retry_for=retry_for, prefer_grpc=prefer_grpc).open()  # async only

    @classmethod
    async def plan_adoption(
        cls,
        location: AsyncLocation,
        *,
        collection: str,
        text: str | Sequence[str],
        vector: str = "",
        label: str | None = None,
        attributes: Sequence[str] = (),
        encoder: FeatureGroupEncoder | str | os.PathLike[str] | None = None,
        max_learned: int = MOST_LEARNED,
        seed: int = 0,
        api_key: str | None = None,
        retry_for: float | None = None,
        prefer_grpc: bool = False,
    ) -> AdoptionPlan:
        """Say what :meth:`adopt` would do and cost. Nothing is written.

        Args:
            location: As for the class.
            collection: As in :meth:`adopt`.
            text: As in :meth:`adopt`.
            vector: As in :meth:`adopt`.
            label: As in :meth:`adopt`.
            attributes: As in :meth:`adopt`.
            encoder: As in :meth:`adopt`.
            max_learned: As in :meth:`adopt`.
            seed: As in :meth:`adopt`.
            api_key: API key of the server.
            retry_for: As for the class.
            prefer_grpc: As for the class.

        Raises:
            Exception: What :meth:`adopt` raises before it writes.
        """
        location, collection = as_written(location), index_name(collection)
        options = AdoptionOptions(vector, text, label, attributes, encoder, None, max_learned, seed)
        engine = await connect_async(
            location, api_key=api_key, create=False, retry_for=retry_for, prefer_grpc=prefer_grpc
        )
        try:
            return await preparing.plan_adoption(engine, collection, options)
        finally:
            if is_path(location):
                await engine.close()

    @classmethod
    async def undo_adoption(
        cls,
        location: AsyncLocation,
        *,
        collection: str,
        api_key: str | None = None,
        retry_for: float | None = None,
        prefer_grpc: bool = False,
        show_progress: bool | None = None,
    ) -> UndoReport:
        """Remove all that :meth:`adopt` and the index since have put into a collection, and the logs beside it.

        Corrected labels and decisions go with it: export them before. It is for adoptions that were interrupted, too,
        and may itself be interrupted and called again. Close open handles of the index before.

        Args:
            location: As for the class.
            collection: Name of the collection.
            api_key: API key of the server.
            retry_for: As for the class.
            prefer_grpc: As for the class.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Raises:
            IndexNotFoundError: If there is no such collection, or it was not adopted.
        """
        location = as_written(location)
        engine = await connect_async(
            location, api_key=api_key, create=False, retry_for=retry_for, prefer_grpc=prefer_grpc
        )
        try:
            with progress_bar(None, show_progress, "undo") as advance:
                return await undoing.undo(engine, collection, advance)
        finally:
            if is_path(location):
                await engine.close()

    async def close(self) -> None:
        """Release the folder or the connection. A client that was handed in stays open."""
        engine, self._engine = self._engine, None  # sync: engine = self._engine
        if engine is not None and self._owns_client:
            if self._open_index is not None:
                self._open_index.is_closed = True
            await engine.close()

    async def __aenter__(self) -> Self:
        return await self.open() if self._engine is None else self  # sync: return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # sync: def __len__(self) -> int:
    # sync:     return self.count()

    def __repr__(self) -> str:
        location = self._given if is_path(self._given) else type(self._given).__name__
        tenant = "" if self._tenant is None else f", tenant={self._tenant!r}"
        known = "not open"
        if self._open_index is not None:
            known = "closed" if self._is_closed else self._open_index.in_words
        return f"AsyncConfidenceIndex({str(location)!r}, collection={self.collection!r}{tenant}, {known})"

    def _repr_html_(self) -> str:
        if self._open_index is None or self._is_closed:
            return html_facts({}, title=repr(self))
        meta = self.metadata
        facts = {
            "collection": self.collection,
            "tenant": self._tenant,
            "encoder": meta.encoder,
            "model": f"{meta.model_name}, dimension {meta.dimension}",
            "features": f"{meta.groups} groups of {meta.codes_per_group} codes, trained on {meta.supervision}",
            "calibration": repr(self.calibration),
        }
        return html_facts(facts, title=repr(self))

    @property
    def client(self) -> Any:
        """Client of the engine, with ``QdrantClient``'s methods."""
        return self._connected.client

    @property
    def location(self) -> str:
        """Folder, URL, or class of the client."""
        return self._state.location

    @property
    def metadata(self) -> IndexMetadata:
        """Identity of the encoder that filled the index, and the layout."""
        return self._state.metadata

    @property
    def calibration(self) -> Calibration | None:
        """Result of :meth:`calibrate`, ``None`` before."""
        return self._state.calibration

    @property
    def encoder(self) -> FeatureGroupEncoder:
        """Encoder of this index. It is loaded from the folder it was saved in unless it was handed in.

        Loading it blocks the event loop.

        Raises:
            EncoderNotFoundError: If it was never saved, or its folder is gone.
            ModelMismatchError: If the folder now holds another encoder.
        """
        return self._state.encoder

    def tenant(self, tenant: str) -> Self:
        """Return a view of the index that sees and writes the items of one tenant alone.

        The view shares the client of this index, which stays the one to close.

        Args:
            tenant: Value of the payload key that ``settings.tenant_key`` names. It is set on every item added.

        Raises:
            ValueError: If the index was made without tenants, or the name is empty.
        """
        view = copy.copy(self)
        view._tenant = self._opened.state.of_tenant(tenant).chosen_tenant
        view._owns_client = False
        return view

    async def count(self) -> int:
        """Number of items."""
        return await info.count(self._state)

    async def add(
        self,
        texts: Iterable[str] | None = None,
        *,
        ids: Iterable[UserId] | None = None,
        labels: Iterable[str | None] | None = None,
        payloads: Iterable[Mapping[str, Any] | None] | None = None,
        images: Iterable[str | os.PathLike[str] | Image] | None = None,
        vectors: npt.ArrayLike | None = None,
        embeddings: FeatureEmbeddings | None = None,
        total: int | None = None,
        batch_size: int | None = None,
        parallel: int | None = None,
        show_progress: bool | None = None,
    ) -> AddReport:
        """Encode items and write them. Unchanged items are neither encoded nor written.

        Lists are checked as a whole before anything is written. Generators, for more items than fit into memory, are
        checked, encoded and written batch by batch. An item replaces the one with the same id. A label corrected with
        :meth:`relabel` stays corrected as long as the data still carry the label that was wrong. An interruption
        leaves no half-written item behind; call the method again to resume.

        Args:
            texts: Texts to encode and to show. With ``vectors`` they are only shown, and without texts the ids are.
            ids: An int or str per text. By default ids are derived from the texts, so that equal texts are one item.
            labels: A label per text, ``None`` where unknown.
            payloads: A JSON object of your own per text, or a table whose rows they are. The key ``fg`` is reserved.
            images: Files or pictures of PIL that are the items, for a model that takes pictures. Their texts are shown
                and not encoded, by default the names of the files; the payload gets the file as ``image``.
            vectors: ``(n, d)`` base embeddings of the items that you have already; no text is encoded.
            embeddings: Embeddings of the texts by this index's encoder, if you have them.
            total: Number of items for the progress bar, if ``texts`` is a generator.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.
            parallel: Number of writes at once. By default two to a server, which works while the next is made ready;
                one to a folder.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Returns:
            Numbers of items written and unchanged.

        Raises:
            TypeError, ValueError: On the first wrong item, with its position.
            ModelMismatchError: If the embeddings have the shape of another encoder.
            NoEmbedderError: If a text must be embedded, and there is nothing to embed it.
            StorageError: If a server stays out of reach.
        """
        if parallel is not None:
            check_count(parallel, name="parallel")
        await self._connected.check_writable(self.collection)
        if images is not None:
            if vectors is not None or embeddings is not None:
                raise ValueError("images are embedded here; give them, or vectors or embeddings that are made of them")
            with progress_bar(len(images) if isinstance(images, Sized) else total, show_progress, "images") as advance:
                texts, payloads, vectors = await image_items.image_items(
                    self._state, images, texts, payloads, batch_size=batch_size, progress=advance
                )
        texts, ids, given = ingestion.given_items(self._state, texts, ids, vectors, embeddings)
        items = await self._find(lambda state: ingestion.checked(state, texts, ids, labels, payloads, given))
        with progress_bar(len(items) if isinstance(items, Sized) else total, show_progress, "index") as advance:
            return await ingestion.add(
                self._state, items, given, batch_size=batch_size, progress=advance, parallel=parallel
            )

    async def sync(self, *, show_progress: bool | None = None) -> SyncReport:
        """Bring an adopted collection up to date with what others have written to it.

        Points without features get them; points whose vector, text or label has changed are computed or noted anew. All
        points are read once, in slices. A corrected label stays corrected as long as the data still carry the label
        that was wrong.

        Args:
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Raises:
            UnsupportedError: If the index is not an adopted collection.
        """
        await self._connected.check_writable(self.collection)
        with progress_bar(await info.count_all(self._state), show_progress, "sync") as advance:
            return await on_current_collection(self._state, lambda state: renewing.bring_up_to_date(state, advance))

    async def delete(self, ids: Sequence[UserId] | None = None, *, query_filter: models.Filter | None = None) -> int:
        """Remove items by their ids or by a filter.

        Args:
            ids: Ids of the items. Unknown ids are ignored.
            query_filter: Qdrant filter. All matching items are removed.

        Returns:
            Number of items removed.

        Raises:
            ValueError: If neither or both are given.
        """
        return await removal.delete(self._state, ids, query_filter)

    async def relabel(self, labels: Mapping[UserId, str | None]) -> int:
        """Correct labels. The old ones are kept beside them, so that adding the same data again does not undo it.

        Args:
            labels: The right label by id, ``None`` for unknown.

        Returns:
            Number of items whose label changed.

        Raises:
            ItemNotFoundError: If an id is unknown. Nothing is changed then.
        """
        return await item_labels.relabel(self._state, labels)

    @renamed_parameters(embedding="embeddings")
    async def search(
        self,
        query: Query | None = None,
        *,
        limit: int = 10,
        offset: int = 0,
        min_confidence: float | None = None,
        confidence_weight: float = 0.0,
        min_familiarity: float | None = None,
        familiarity_weight: float = 0.0,
        query_filter: models.Filter | None = None,
        target_precision: float | None = None,
        min_query_confidence: float | None = None,
        on_uncertain: Literal["flag", "abstain", "clarify", "raise"] = "flag",
        label_miss: float = 0.1,
        rank_by: Literal["auto", "features", "base", "both"] = "auto",
        explain: bool = False,
        vector: npt.ArrayLike | None = None,
        embeddings: FeatureEmbeddings | None = None,
        log: Logging | None = None,
    ) -> SearchResult:
        """Find the items most similar to a query.

        Args:
            query: A text, or several phrasings of one question. Phrasings are searched as one query, each weighted
                by its own confidence. It may be left out if there is a vector; such a query is not logged.
            limit: Maximum number of hits.
            offset: Number of hits to skip, for paging.
            min_confidence: Exclude points less confident than this, in [0, 1]. The engine does it.
            confidence_weight: Order by ``score · confidence^weight``, in [0, 100].
            min_familiarity: Exclude points less familiar than this, and those whose familiarity is not known, in
                [0, 1]. The engine does it.
            familiarity_weight: Order by ``score · familiarity^weight``, in [0, 100]. Both weights together multiply the
                score by both.
            query_filter: Qdrant filter on your own payload, or on ``fg.confidence``, ``fg.label`` and ``fg.id`` (your
                own ids; ``HasIdCondition`` takes the engine's).
            target_precision: Precision that the answered queries are to reach, in (0, 1). Queries whose calibrated
                confidence is too low for it are uncertain. Needs :meth:`calibrate`.
            min_query_confidence: Queries less confident than this are uncertain, in [0, 1]. If it is not given, an
                index without a calibration takes .2: below it a query hardly looks answerable.
            on_uncertain: What an uncertain query gets: ``"flag"`` (hits, marked), ``"abstain"`` (no hits), ``"raise"``,
                or ``"clarify"``: no hits, but the smallest set of labels that holds the right one, each with an example
                (``result.choices``), to ask which of them is meant. Without any, or with more than ``limit``, it
                abstains. Needs ``target_precision``, and an index calibrated on right labels.
            label_miss: Share of the uncertain queries with an answer whose right label ``"clarify"`` may miss, in
                (0, 1), if these are like those of the calibration.
            rank_by: ``"features"``, ``"base"``, ``"both"`` (the mean of their similarities), or ``"auto"``: as the
                index was calibrated, otherwise by how the head was trained.
            explain: Also find the item nearest to the query by base embeddings (``result.nearest``), with hits or
                without, whatever ranks or excludes these but for ``query_filter``. It takes a request more.
            vector: ``(d,)`` base embedding of the query that you have already, or ``(p, d)`` of its p phrasings; no
                text is encoded.
            embeddings: Embeddings of the phrasings by this index's encoder, if you have them.
            log: Whether the query is logged. By default :meth:`log_queries` decides.

        Raises:
            EmptyIndexError: If the index is empty.
            NotCalibratedError: If a target precision is asked for and the index was not calibrated for such searches;
                for ``"clarify"``, on right labels.
            NotScoredError: If familiarity counts, and the items have none: the encoder does not know its examples.
            UncertainQueryError: If the query is uncertain and ``on_uncertain`` is ``"raise"``.
            TypeError, ValueError: If an argument is out of range.
        """
        options = SearchOptions(
            limit=limit,
            offset=offset,
            min_confidence=min_confidence,
            confidence_weight=confidence_weight,
            min_familiarity=min_familiarity,
            familiarity_weight=familiarity_weight,
            query_filter=query_filter,
            target_precision=target_precision,
            min_query_confidence=min_query_confidence,
            on_uncertain=on_uncertain,
            label_miss=label_miss,
            rank_by=rank_by,
            explain=explain,
        )
        which = self._which(log, query)
        queries, given = given_query(self._state, query, vector, embeddings)
        results = await self._find(lambda state: logged_search.search_texts(state, queries, options, given, which))
        return results[0]

    async def search_many(
        self,
        queries: Sequence[Query] | None = None,
        *,
        limit: int = 10,
        offset: int = 0,
        min_confidence: float | None = None,
        confidence_weight: float = 0.0,
        min_familiarity: float | None = None,
        familiarity_weight: float = 0.0,
        query_filter: models.Filter | None = None,
        target_precision: float | None = None,
        min_query_confidence: float | None = None,
        on_uncertain: Literal["flag", "abstain", "clarify", "raise"] = "flag",
        label_miss: float = 0.1,
        rank_by: Literal["auto", "features", "base", "both"] = "auto",
        explain: bool = False,
        vectors: npt.ArrayLike | None = None,
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int | None = None,
        show_progress: bool | None = None,
        log: Logging | None = None,
    ) -> list[SearchResult]:
        """Search for many queries with few requests to the engine.

        Args:
            queries: Texts, or lists of phrasings. They may be left out if there are vectors.
            limit: Maximum number of hits per query.
            offset: As in :meth:`search`.
            min_confidence: As in :meth:`search`.
            confidence_weight: As in :meth:`search`.
            min_familiarity: As in :meth:`search`.
            familiarity_weight: As in :meth:`search`.
            query_filter: As in :meth:`search`.
            target_precision: As in :meth:`search`.
            min_query_confidence: As in :meth:`search`.
            on_uncertain: As in :meth:`search`. ``"raise"`` raises at the first uncertain query.
            label_miss: As in :meth:`search`.
            rank_by: As in :meth:`search`.
            explain: As in :meth:`search`.
            vectors: ``(n, d)`` base embeddings of all phrasings in order that you have already; no text is encoded.
            embeddings: Embeddings of all phrasings in order by this index's encoder, if you have them.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.
            log: As in :meth:`search`. The log is written once.

        Returns:
            One result per query, in order.

        Raises:
            Exception: What :meth:`search` raises.
        """
        options = SearchOptions(
            limit=limit,
            offset=offset,
            min_confidence=min_confidence,
            confidence_weight=confidence_weight,
            min_familiarity=min_familiarity,
            familiarity_weight=familiarity_weight,
            query_filter=query_filter,
            target_precision=target_precision,
            min_query_confidence=min_query_confidence,
            on_uncertain=on_uncertain,
            label_miss=label_miss,
            rank_by=rank_by,
            explain=explain,
        )
        which = self._which(log, queries)
        asked, given = given_queries(self._state, queries, vectors, embeddings)
        return await self._find(
            lambda state: logged_search.search_texts(
                state, asked, options, given, which, batch_size=batch_size, show_progress=show_progress
            )
        )

    @renamed_parameters(embedding="embeddings")
    async def search_groups(
        self,
        query: Query | None = None,
        *,
        group_by: str,
        group_size: int = 3,
        limit: int = 10,
        min_confidence: float | None = None,
        confidence_weight: float = 0.0,
        min_familiarity: float | None = None,
        familiarity_weight: float = 0.0,
        query_filter: models.Filter | None = None,
        target_precision: float | None = None,
        min_query_confidence: float | None = None,
        on_uncertain: Literal["flag", "abstain", "clarify", "raise"] = "flag",
        label_miss: float = 0.1,
        rank_by: Literal["auto", "features", "base", "both"] = "auto",
        explain: bool = False,
        vector: npt.ArrayLike | None = None,
        embeddings: FeatureEmbeddings | None = None,
        log: Logging | None = None,
    ) -> GroupedResult:
        """Find the items most similar to a query, grouped by the value of a payload field.

        Args:
            query: As in :meth:`search`.
            group_by: Payload key to group by. ``"fg.label"`` groups by label.
            group_size: Maximum number of hits per group.
            limit: Maximum number of groups.
            min_confidence: As in :meth:`search`.
            confidence_weight: As in :meth:`search`.
            min_familiarity: As in :meth:`search`.
            familiarity_weight: As in :meth:`search`.
            query_filter: As in :meth:`search`.
            target_precision: As in :meth:`search`.
            min_query_confidence: As in :meth:`search`.
            on_uncertain: As in :meth:`search`.
            label_miss: As in :meth:`search`.
            rank_by: As in :meth:`search`.
            explain: As in :meth:`search`.
            vector: As in :meth:`search`.
            embeddings: As in :meth:`search`.
            log: As in :meth:`search`.

        Raises:
            Exception: What :meth:`search` raises.
        """
        options = SearchOptions(
            limit=limit,
            min_confidence=min_confidence,
            confidence_weight=confidence_weight,
            min_familiarity=min_familiarity,
            familiarity_weight=familiarity_weight,
            query_filter=query_filter,
            target_precision=target_precision,
            min_query_confidence=min_query_confidence,
            on_uncertain=on_uncertain,
            label_miss=label_miss,
            rank_by=rank_by,
            explain=explain,
        )
        which = self._which(log, query)
        queries, given = given_query(self._state, query, vector, embeddings)
        return await self._find(
            lambda state: logged_search.search_groups(state, queries[0], options, group_by, group_size, given, which)
        )

    def _which(self, log: Logging | None, queries: object) -> Logging:
        """Which queries are logged; none that have no text."""
        which = self._logging if log is None else check_logging(log)
        return "none" if queries is None else which

    @property
    def logging(self) -> Logging:
        """Which queries are logged, as set by :meth:`log_queries`."""
        return self._logging

    def log_queries(self, which: Logging = "uncertain") -> None:
        """Log the queries searched for from now on, for :meth:`logged_queries` and :meth:`missing_labels`.

        Nothing is logged until this is called. The setting holds for this object, and for views that :meth:`tenant`
        returns later, not for other handles of the same index. The log lives in the engine, beside the index. An entry
        holds the text of the query, how often it was asked, when first and last, and from the last time the decision,
        its reason, both confidences, the best hit (id, label, score) and the base embedding. Queries that differ only
        in case, white space or the end of the last sentence are one entry. Further pages of hits (``offset``) are not
        logged.

        The log has room for 10,000 different queries per tenant. Beyond that, the thousand that were not asked for
        longest are dropped. A query that cannot be logged is answered all the same, and a warning goes to the logger
        ``fg_search``. :meth:`copy_to` takes the log along, :meth:`migrate` keeps it, :meth:`snapshot` leaves it out,
        :meth:`restore` removes that of the index it replaces, and :meth:`forget_queries` empties it.

        Args:
            which: ``"uncertain"`` (flagged, abstained from, raised, or without a hit), ``"all"`` or ``"none"``.

        Raises:
            ValueError: If ``which`` is something else.
        """
        self._logging = check_logging(which)

    async def report_missing(self, query: Query, *, note: str | None = None) -> None:
        """Enter a query into the log as one without an answer, whatever the search makes of it.

        For those who find that the hits do not answer it: a person, or a program that has read them. It is then one of
        the open queries of :meth:`logged_queries`, and counts for :meth:`missing_labels`.

        Args:
            query: A text, or several phrasings of one question.
            note: What is missing, for whoever reads the log.

        Raises:
            EmptyIndexError: If the index is empty.
        """
        await self._connected.check_writable(self.collection)
        await self._find(lambda state: logged_search.report_missing(state, query, note))

    async def logged_queries(self, *, limit: int = 50, offset: int = 0, only_open: bool = True) -> list[LoggedQuery]:
        """Logged queries, the most frequent first, the latest first among equals.

        Args:
            limit: Maximum number of queries.
            offset: Number of queries to skip.
            only_open: Skip queries that got a sure answer, and those that :meth:`decide_queries` settled.

        Raises:
            ValueError: If a number is out of range.
        """
        return await query_decisions.logged(self._state, limit, offset, only_open=only_open)

    @renamed_parameters(least_size="min_size")
    async def missing_labels(
        self, *, similarity: float = SIMILARITY, min_size: int = MIN_SIZE, batch_size: int | None = None
    ) -> list[MissingLabel]:
        """Cluster the open queries of the log into candidates for labels that the index lacks.

        The 5,000 most frequent queries are clustered, see :func:`fg_search.queries.clusters.cluster_queries`. Nothing
        is encoded, unless the index has moved to another base model since.

        Args:
            similarity: Mean cosine above which queries belong together, in [0, 1]. The default is for
                all-MiniLM-L6-v2.
            min_size: Minimum number of times the queries of a cluster were asked, all together.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.

        Returns:
            Clusters, the most frequent first.

        Raises:
            ValueError: If a number is out of range.
        """
        return await self._find(
            lambda state: missing_labels.missing_labels(state, similarity, min_size, batch_size=batch_size)
        )

    async def decide_queries(
        self,
        ids: Sequence[str],
        action: QueryAction,
        label: str | None = None,
        *,
        reviewer: str = "anonymous",
        batch_size: int | None = None,
    ) -> list[LoggedQuery]:
        """Settle logged queries, which closes them.

        Args:
            ids: Ids of the queries, such as those of a :class:`MissingLabel`.
            action: ``"add"`` (make items of them, with the ids they have in the log; :meth:`refit` then learns from
                them), ``"dismiss"`` (do nothing about them) or ``"reopen"`` (undo either; an added item is removed).
            label: Label of the new items, for ``"add"``.
            reviewer: Name of the reviewer.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.

        Returns:
            The queries after the change.

        Raises:
            ItemNotFoundError: If a query is not in the log. Nothing is changed then.
            DecisionConflictError: If somebody else decides about one in the same moment. The others are settled.
            ValueError: If the action is unknown, or its label is missing.
        """
        return await query_decisions.decide_queries(self._state, ids, action, label, reviewer, batch_size=batch_size)

    async def forget_queries(self, ids: Sequence[str] | None = None, *, before: datetime | None = None) -> int:
        """Remove queries from the log, by default all of them. Items made of them stay.

        Args:
            ids: Ids of the queries to remove. Unknown ids are ignored.
            before: Remove only queries last asked before this moment, which must have a time zone.

        Returns:
            Number of queries removed.
        """
        return await query_decisions.forget_queries(self._state, ids, before)

    async def audit(self, *, target_precision: float = TARGET, limit: int = 1, seed: int = 0) -> AnswerAudit:
        """Say what judged answers prove of the precision that is promised, and which answers to judge next.

        Answers are drawn from the log without replacement, each next query in proportion to how often it was asked, so
        that the precision is that over the traffic in the log. It takes a log of all queries (:meth:`log_queries`). An
        answer is the best hit that the query had when it was last asked, if its confidence reaches the threshold of the
        target precision. The bounds of the precision hold after every judgement, see
        :class:`fg_search.confidence.precision_audit.PrecisionAudit`: judge as long as you like, and stop when you like.
        They are about the queries that the log has now.

        A judgement counts while what was judged is the answer: not once the query, when asked again, has another best
        hit, or the hit has another label or is gone.

        Args:
            target_precision: The promised precision, in (0, 1).
            limit: Maximum number of answers to judge next that are returned.
            seed: Random seed of the draws. With another one, other answers come first, and judgements out of its order
                wait until their turn.

        Raises:
            NotCalibratedError: If the index was not calibrated, so that it promises nothing.
            NothingLoggedError: If the log has no answers since the index was calibrated.
            ValueError: If a number is out of range.
        """
        return await answer_audit.audit(self._state, target_precision, limit, seed)

    async def judge_answer(
        self,
        answer: AuditedAnswer,
        action: JudgeAction,
        *,
        reviewer: str = "anonymous",
        target_precision: float = TARGET,
        limit: int = 1,
        seed: int = 0,
    ) -> AnswerAudit:
        """Note whether an answer is right, and say what that proves.

        If the answers at hand refute the promised precision, the threshold is raised, for searches with this target
        precision and with higher ones: to the lowest confidence from which the judged answers, ten at least, reach the
        target. If there is none, no query is answered with this precision any more. The next :meth:`calibrate` ends
        that. Other processes learn of it when they open the index. In an index with tenants, it holds for all of them.

        Args:
            answer: The answer as :meth:`audit` returned it.
            action: ``"right"``, ``"wrong"``, ``"skip"`` (it cannot be told; the query is left out) or ``"reopen"``
                (take the judgement back, and what it has raised).
            reviewer: Name of who judges.
            target_precision: As in :meth:`audit`.
            limit: As in :meth:`audit`.
            seed: As in :meth:`audit`.

        Raises:
            DecisionConflictError: If the answer has changed since, or somebody else has judged it. Nothing is noted
                then.
            ItemNotFoundError: If the query is not in the log any more.
            NotCalibratedError: If the index was not calibrated, or somebody calibrates it in this moment.
            ValueError: If the action is unknown or a number is out of range.
        """
        await self._connected.check_writable(self.collection)
        return await answer_audit.judge_answer(self._state, answer, action, reviewer, target_precision, limit, seed)

    async def judged_answers(self) -> list[AuditedAnswer]:
        """Answers that people judged right or wrong and that are still the answers, the latest first.

        They can be added to the queries of :meth:`calibrate`, not replace them: they are of answered queries alone.
        """
        return await audited_answers.judged_answers(self._state)

    async def calibrate(
        self,
        queries: Sequence[Query] | None = None,
        relevant: Sequence[Relevant] | None = None,
        *,
        relevant_by: Literal["auto", "label", "id"] = "auto",
        relevant_within: int = 1,
        promise_by: Literal["label", "tenant"] | None = None,
        tenants: Sequence[str] | None = None,
        min_confidence: float | None = None,
        confidence_weight: float = 0.0,
        min_familiarity: float | None = None,
        familiarity_weight: float = 0.0,
        query_filter: models.Filter | None = None,
        rank_by: Literal["auto", "features", "base", "both"] = "auto",
        vectors: npt.ArrayLike | None = None,
        embeddings: FeatureEmbeddings | None = None,
        seed: int = 0,
        reviewer: str = "anonymous",
        batch_size: int | None = None,
        show_progress: bool | None = None,
    ) -> Calibration:
        """Learn from queries with known answers how sure a result is, and keep that with the index.

        Afterwards results carry a calibrated ``confidence``, and searches may ask for a ``target_precision``. Both hold
        for queries like these, searched with these options: calibrate again when the index or the options change. When
        more or fewer queries come that have no answer, :meth:`adapt` follows. Every query teaches, and every query
        bounds the precision, each by a model fitted without it.

        Without queries, the labelled items are taken for queries, each asked of a head and of items that do not know
        it, while a fifth of the labels is left out and pretended to have no answer. That is an estimate, and says so:
        on three sets of queries, precisions of 80 to 95 % came out within four points or above. It serves until some
        hundreds of real queries are judged.

        Args:
            queries: Queries that neither the head nor the index has seen; some hundreds, better thousands. By default
                the items themselves.
            relevant: For each query the label or id of a right answer, several of them, or ``None`` if the index has
                none.
            relevant_by: Whether these are labels or ids. By default the index is asked.
            relevant_within: A result is right if one of its first ``relevant_within`` hits is, 1 to 10.
            promise_by: ``"label"`` promises a precision to the answers of each label by itself, the label of the best
                hit, and ``"tenant"`` to those of each tenant: one that is right less often than the others gets a
                higher threshold of its own, or none. By default to all answers together.
            tenants: Tenant of each query, in an index with tenants of which none was chosen; each query is searched
                among the items of its own.
            min_confidence: As in the searches to come.
            confidence_weight: As in the searches to come.
            min_familiarity: As in the searches to come.
            familiarity_weight: As in the searches to come.
            query_filter: Qdrant filter for these queries alone. The searches to come may have other filters.
            rank_by: As in the searches to come.
            vectors: ``(n, d)`` base embeddings of the queries that you have already, whose texts may be left out then.
            embeddings: Embeddings of the queries by this index's encoder, if you have them.
            seed: Random seed of the folds.
            reviewer: Name of who calibrates, for the :meth:`history`.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Raises:
            EmptyIndexError: If the index is empty.
            ValueError: If the lists differ in length, or nearly all results are right, or nearly all wrong.
        """
        options = SearchOptions(
            min_confidence=min_confidence,
            confidence_weight=confidence_weight,
            min_familiarity=min_familiarity,
            familiarity_weight=familiarity_weight,
            query_filter=query_filter,
            rank_by=rank_by,
        )
        check_reviewer(reviewer)
        await self._connected.check_writable(self.collection)
        if queries is None and relevant is None and vectors is None:
            if relevant_by == "id" or relevant_within != 1 or query_filter is not None or embeddings is not None:
                raise ValueError("without judged queries, all items are taken for queries, and judged by their labels")
            if promise_by is not None or tenants is not None:
                raise ValueError("items taken for queries promise nothing to single labels or tenants; give queries")
            learned = await self._find(
                lambda state: corpus_calibration.calibrate_on_corpus(state, options, seed=seed, reviewer=reviewer)
            )
            return self._opened.calibrated(learned)
        if (queries is None and vectors is None) or relevant is None:
            raise ValueError("give queries and relevant, or neither to estimate from the items themselves")
        right = relevant
        judged, given = given_queries(self._state, queries, vectors, embeddings)
        learned = await self._find(
            lambda state: judged_calibration.calibrate_on(
                state,
                judged,
                right,
                relevant_by,
                options,
                given,
                relevant_within=relevant_within,
                promise_by=promise_by,
                tenants=tenants,
                seed=seed,
                reviewer=reviewer,
                batch_size=batch_size,
                show_progress=show_progress,
            )
        )
        return self._opened.calibrated(learned)

    async def adapt(
        self,
        queries: Sequence[Query] | None = None,
        *,
        expected_unanswerable: float | None = None,
        since: datetime | None = None,
        tenants: Sequence[str] | None = None,
        vectors: npt.ArrayLike | None = None,
        embeddings: FeatureEmbeddings | None = None,
        reviewer: str = "anonymous",
        batch_size: int | None = None,
        show_progress: bool | None = None,
    ) -> Calibration:
        """Follow the traffic: estimate how many queries have no answer, and move confidence and thresholds.

        A promise that was calibrated where 3 % of the queries have no answer breaks where 20 % have none. What the two
        kinds of queries look like is known from :meth:`calibrate`; their share is estimated from queries that nobody
        judged. The calibration with the new share is kept with the index, and results name the share. In an index with
        tenants it is the share in the traffic of all of them, so that views of one tenant do not adapt.

        Args:
            queries: A sample of the traffic, some hundreds. By default the queries in the log that were asked while
                all were logged (:meth:`log_queries`), each as often as it was asked.
            expected_unanswerable: The share of queries without an answer, in [0, 1), if you know it; nothing is
                estimated then.
            since: Take only queries from the log that were last asked at or after this moment, which must have a time
                zone.
            tenants: Tenant of each of the queries, in an index with tenants. The log knows those of its queries.
            vectors: ``(n, d)`` base embeddings of the queries that you have already.
            embeddings: Embeddings of the queries by this index's encoder, if you have them.
            reviewer: Name of who adapts, for the :meth:`history`.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Returns:
            The calibration; its ``share`` is what it follows. Its ``shift`` says whether the queries differ from the
            judged ones in another way, too, so that the promise no longer holds (:meth:`check_traffic`).

        Raises:
            NotCalibratedError: If the index was not calibrated.
            ValueError: If queries and a share are both given, or there are too few queries, or fewer than five of the
                judged queries had no answer, or this is a view of one tenant.
        """
        if expected_unanswerable is not None and (queries is not None or since is not None or vectors is not None):
            raise ValueError(
                "queries or a log to estimate the share from, and expected_unanswerable, exclude each other"
            )
        check_reviewer(reviewer)
        await self._connected.check_writable(self.collection)
        if expected_unanswerable is not None:
            share = expected_unanswerable
            learned = await self._find(lambda state: adaptation.adapt_to_share(state, share, reviewer))
            return self._opened.calibrated(learned)
        asked, given = given_sample(self._state, queries, vectors, embeddings)
        sample = Traffic(asked, tenants, since, given, batch_size, show_progress)
        return self._opened.calibrated(
            await self._find(lambda state: traffic.adapt_to_traffic(state, sample, reviewer))
        )

    async def check_traffic(
        self,
        queries: Sequence[Query] | None = None,
        *,
        since: datetime | None = None,
        tenants: Sequence[str] | None = None,
        vectors: npt.ArrayLike | None = None,
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int | None = None,
        show_progress: bool | None = None,
    ) -> TrafficShift:
        """Does the promise hold for the traffic? Compare its queries with the judged ones; nothing is changed.

        A promise holds for queries with and without an answer as they were judged, in whatever mixture
        (:meth:`adapt`). It does not for other ones: new intents, another language, an index that has changed much.
        :meth:`adapt` looks at the same, and keeps what it has found for :meth:`info` and :meth:`check`.

        Args:
            queries: As in :meth:`adapt`; by default those of the log.
            since: As in :meth:`adapt`.
            tenants: As in :meth:`adapt`. For a view of one tenant, the queries are that tenant's.
            vectors: ``(n, d)`` base embeddings of the queries that you have already.
            embeddings: Embeddings of the queries by this index's encoder, if you have them.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Returns:
            Whether the promise ``holds``, and the ``reason``. Where nothing differs but the share, that is wrongly
            denied of one or two samples in a hundred (``benchmarks/shift.py``).

        Raises:
            NotCalibratedError: If the index was not calibrated.
            ValueError: If there are too few queries, or an earlier release calibrated the index.
        """
        asked, given = given_sample(self._state, queries, vectors, embeddings)
        sample = Traffic(asked, tenants, since, given, batch_size, show_progress)
        return await self._find(lambda state: traffic.check_traffic(state, sample))

    async def evaluate(
        self,
        queries: Sequence[Query] | None = None,
        relevant: Sequence[Relevant] | None = None,
        *,
        relevant_by: Literal["auto", "label", "id"] = "auto",
        relevant_within: int = 1,
        min_confidence: float | None = None,
        confidence_weight: float = 0.0,
        min_familiarity: float | None = None,
        familiarity_weight: float = 0.0,
        query_filter: models.Filter | None = None,
        rank_by: Literal["auto", "features", "base", "both"] = "auto",
        slices: Mapping[str, Sequence[Any]] | None = None,
        vectors: npt.ArrayLike | None = None,
        embeddings: FeatureEmbeddings | None = None,
        keep: bool = False,
        reviewer: str = "anonymous",
        batch_size: int | None = None,
        show_progress: bool | None = None,
    ) -> IndexEvaluation:
        """Measure the index on queries with known answers: its quality, and whether it knows when it is wrong.

        Args:
            queries: Queries that head, index and calibration have not seen. They may be left out if there are vectors.
            relevant: As in :meth:`calibrate`; needed.
            relevant_by: As in :meth:`calibrate`.
            relevant_within: A result is right if one of its first ``relevant_within`` hits is, 1 to 10. The calibrated
                confidence is measured if the index was calibrated with the same.
            min_confidence: As in :meth:`search`.
            confidence_weight: As in :meth:`search`.
            min_familiarity: As in :meth:`search`.
            familiarity_weight: As in :meth:`search`.
            query_filter: As in :meth:`search`.
            rank_by: As in :meth:`search`.
            slices: By name, ``(n,)`` values of the queries for :meth:`IndexEvaluation.slices
                <fg_search.index.evaluation.IndexEvaluation.slices>`: texts, numbers, ``None``, or lists of these.
            vectors: ``(n, d)`` base embeddings of the queries that you have already.
            embeddings: Embeddings of the queries by this index's encoder, if you have them.
            keep: Keep the figures with the index, for the :meth:`history`. By default nothing is written.
            reviewer: Name of who measures, for the history.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Raises:
            EmptyIndexError: If the index is empty.
            ValueError: If the lists differ in length.
        """
        options = SearchOptions(
            min_confidence=min_confidence,
            confidence_weight=confidence_weight,
            min_familiarity=min_familiarity,
            familiarity_weight=familiarity_weight,
            query_filter=query_filter,
            rank_by=rank_by,
        )
        check_reviewer(reviewer)
        if keep:
            await self._connected.check_writable(self.collection)
        right: Any = relevant  # without it, the error is that of whoever reads it
        judged, given = given_queries(self._state, queries, vectors, embeddings)
        return await self._find(
            lambda state: evaluation.evaluate_on(
                state,
                judged,
                right,
                relevant_by,
                options,
                given,
                relevant_within=relevant_within,
                slices=slices,
                keep_as=reviewer if keep else None,
                batch_size=batch_size,
                show_progress=show_progress,
            )
        )

    async def history(self) -> list[QualityEntry]:
        """What was calibrated and measured, when and by whom, and how good the index was then; the oldest first.

        It has every :meth:`calibrate`, the latest :meth:`adapt` of a day, thresholds that judged answers have raised
        (:meth:`judge_answer`), and what :meth:`evaluate` was asked to keep: forty of each. Copies and snapshots take it
        along, and another encoder leaves it. Of a tenant's view, it is about that tenant and about all together.
        """
        return await quality_history.history(self._state)

    async def optimize(self) -> bool:
        """Compact the index of a folder, and build the graphs that make a ranking by base vectors fast.

        A server does so by itself, in the background. In a folder, dense vectors are compared one by one until this is
        called: with 100,000 items of 384 numbers, building takes 42 s, and a search by base vectors 2.4 ms instead
        of 8.7 (and is no longer exact). Items that are added later are found, too. It pays for a large index that
        ranks by base vectors; feature groups alone need it for the ``feature_vectors`` of the settings only.

        Returns:
            Whether anything was done.
        """
        state = self._state
        return await self._connected.optimize(state.points)

    async def pull(
        self,
        location: AsyncLocation,
        *,
        collection: str | None = None,
        api_key: str | None = None,
        overwrite: Collection[UserId] = (),
        reviewer: str = "anonymous",
        remove_extra: bool = False,
        prefer_grpc: bool = False,
        show_progress: bool | None = None,
    ) -> PullReport:
        """Bring this index up to date from another copy of it, such as a folder on a device from the server.

        Items that are new or differ there are taken as they are, with vectors, scores and decisions, and so is the
        calibration; nothing is encoded. What :meth:`add` has changed here is replaced; items about which people have
        decided here stay, see :meth:`push`. Call it again after an interruption: what is here already is not taken
        twice.

        Args:
            location: Where the other copy is, as for the class.
            collection: Its name. By default it is that of this index.
            api_key: API key of its server; it may be one that may only read.
            overwrite: Ids of items that are to be here as they are there, gone if they are gone there, whatever people
                decided here. That is logged as taken back. In an index with tenants, an id is that of each tenant.
            reviewer: Name of who says so, for the log.
            remove_extra: Remove items that it lacks as well, unless people have decided about them here. Items that
                were deleted there by a decision are removed anyway, unless people have decided about them here since.
            prefer_grpc: Ask its server over gRPC.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Returns:
            What was taken, and the items that people decided about in both: they are left as they are, and named again
            until you choose one: by their ids as ``overwrite`` here, or of :meth:`push`.

        Raises:
            IndexNotFoundError: If there is no other copy.
            ModelMismatchError: If it is of another encoder.
            TypeError, ValueError: If ``overwrite`` is no list of ids, or the reviewer's name is empty.
            UnsupportedError: If this is an adopted collection.
            ValueError: If this is a view of one tenant, or the other copy lacks the base vectors that this one has.
        """
        choice = Choice.checked(overwrite, reviewer)
        await self._connected.check_writable(self.collection)
        async with self._other(location, collection, api_key, prefer_grpc) as other:
            return await exchange.pull(
                self._state, other, choice, remove_extra=remove_extra, show_progress=show_progress
            )

    async def push(
        self,
        location: AsyncLocation,
        *,
        collection: str | None = None,
        api_key: str | None = None,
        overwrite: Collection[UserId] = (),
        reviewer: str = "anonymous",
        prefer_grpc: bool = False,
        show_progress: bool | None = None,
    ) -> PushReport:
        """Give another copy of this index what people decided here, such as the server what was decided on a device.

        Labels, decisions and deletions are carried out there, each only if nobody has decided about the item there
        since it was pulled, and logged there under the names of who decided here. What was deleted in both and is back
        here comes back there. Items that were added here are not given: add them there. Decisions need no vectors: the
        other copy may have got another encoder meanwhile.

        Args:
            location: Where the other copy is, as for the class.
            collection: Its name. By default it is that of this index.
            api_key: API key of its server, which has to be allowed to write.
            overwrite: Ids of items that people decided about here, and that are to be there as they are here, whatever
                people decided there. That is logged as taken back. In an index with tenants, an id is that of each
                tenant.
            reviewer: Name of who says so, for the log.
            prefer_grpc: Ask its server over gRPC.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Returns:
            What was given, and the items that people decided about in both: they are left as they are, and named again
            until you choose one: by their ids as ``overwrite`` here, or of :meth:`pull`.

        Raises:
            IndexNotFoundError: If there is no other copy.
            TypeError, ValueError: If ``overwrite`` is no list of ids, or the reviewer's name is empty.
            ValueError: If this is a view of one tenant.
        """
        choice = Choice.checked(overwrite, reviewer)
        async with self._other(location, collection, api_key, prefer_grpc) as other:
            return await exchange.push(self._state, other, choice, show_progress=show_progress)

    @asynccontextmanager
    async def _other(
        self, location: AsyncLocation, collection: str | None, api_key: str | None, prefer_grpc: bool
    ) -> AsyncIterator[IndexState]:
        """State of another copy of the index."""
        if self._state.chosen_tenant is not None:
            raise ValueError("an index is exchanged with all its tenants; call it on the index itself")
        name = index_name(self.collection if collection is None else collection)
        location = as_written(location)
        engine = await connect_async(
            location, api_key=api_key, create=False, retry_for=self._retry_for, prefer_grpc=prefer_grpc
        )
        try:
            yield await opening.open_index(engine, name, None, None)
        finally:
            if is_path(location):
                await engine.close()

    async def copy_to(
        self,
        location: AsyncLocation,
        *,
        collection: str | None = None,
        api_key: str | None = None,
        settings: IndexSettings | None = None,
        prefer_grpc: bool = False,
        show_progress: bool | None = None,
    ) -> CopyReport:
        """Copy the whole index elsewhere, such as from a folder to a server, or into other settings.

        Points, vectors, calibration, decisions and logged queries are copied as they are. Nothing is encoded. The copy
        appears under its name once it is complete. After an interruption, call it again: only what is missing is
        written. In the end the counts are compared, and a sample of the points in full.

        Args:
            location: As for the class.
            collection: Name of the copy. By default it is that of this index.
            api_key: API key of the server the copy goes to.
            settings: Layout of the copy, if other than that of this index.
            prefer_grpc: Ask the server the copy goes to over gRPC.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Raises:
            ModelMismatchError: If the destination holds an index of another encoder.
            StorageError: If points are missing or differ in the end.
            ValueError: If this is a view of one tenant, the copy exists with other settings, or the settings ask for
                base vectors that the index lacks.
        """
        state = self._state
        if state.chosen_tenant is not None:
            raise ValueError("an index is copied with all its tenants; call copy_to on the index itself")
        name = index_name(self.collection if collection is None else collection)
        location = as_written(location)
        destination = await connect_async(location, api_key=api_key, retry_for=self._retry_for, prefer_grpc=prefer_grpc)
        try:
            with progress_bar(await info.count_all(state), show_progress, "copy") as advance:
                return await copies.copy_index(state, destination, name, settings, advance)
        finally:
            if is_path(location):
                await destination.close()

    async def score_labels(self, *, seed: int = 0, show_progress: bool | None = None) -> LabelScores:
        """Score the label of every item by a model that has not seen it, for ``review(kind="contradicted")``.

        Scores and suggestions are kept with the items. Call it again when many labels or items have changed. All base
        embeddings must fit into memory. Labels of fewer than four items are not scored: too few to judge.

        Args:
            seed: Random seed.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Returns:
            Numbers of labels scored, listed and suggested, and the share that is probably wrong.

        Raises:
            ValueError: If the index has no base embeddings, fewer than two labels, or tenants of which none was chosen.
        """
        await self._connected.check_writable(self.collection)
        with progress_bar(await info.count_all(self._state), show_progress, "read") as advance:
            return await self._find(lambda state: label_scores.score_labels(state, seed=seed, progress=advance))

    async def score_items(self, *, seed: int = 0, show_progress: bool | None = None) -> ItemScores:
        """Compare all items, for ``review`` of the kinds ``"conflicting"``, ``"duplicate"`` and ``"outlier"``.

        Labels are not needed. Scores are kept with the items. Call it again when many items have changed. All base
        embeddings must fit into memory. Up to 20,000 items are compared pair by pair. Among more, near-duplicates
        are sought among items with common neighbours, so that the time does not grow with the square of their number.

        Args:
            seed: Random seed, used with more than 20,000 items.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.

        Raises:
            ValueError: If the index has no base embeddings, or tenants of which none was chosen.
        """
        await self._connected.check_writable(self.collection)
        with progress_bar(await info.count_all(self._state), show_progress, "read") as advance:
            return await self._find(lambda state: item_scores.score_items(state, seed=seed, progress=advance))

    async def confused_labels(self, limit: int = 20) -> list[ConfusedLabels]:
        """Pairs of labels that are mistaken for each other and should perhaps be one, the most confused first.

        The engine counts them over the items that nobody has decided about since :meth:`score_labels`. List the items
        of a pair with ``review(kind="contradicted", label=pair.first, suggested=pair.second)``, and the other way
        round.

        Args:
            limit: Maximum number of pairs.

        Raises:
            NotScoredError: If labels were not scored yet.
            ValueError: If the limit is less than one.
        """
        return await confused_labels.confused_labels(self._state, limit)

    async def review(
        self,
        *,
        kind: Kind = "ambiguous",
        limit: int = 50,
        offset: int = 0,
        label: str | None = None,
        suggested: str | None = None,
        min_score: float | None = None,
        diverse: bool = False,
        evidence: int = 0,
        reviewer: str | None = None,
        query_filter: models.Filter | None = None,
    ) -> list[ReviewItem]:
        """Items that a person should look at and nobody has decided about yet, the most urgent first.

        Args:
            kind: ``"ambiguous"``: the least confident embeddings, where the text itself is unclear. ``"contradicted"``:
                labels that fit least, see :meth:`score_labels`. ``"conflicting"``: near-duplicates with different
                labels. ``"duplicate"``: items with the same text. ``"outlier"``: items far from all others; for these
                three see :meth:`score_items`. ``"unfamiliar"``: items that are least like what the encoder learned
                from. ``"unread"``: texts of which the model knows or reads a part only. ``"unsure"``: items that a
                reviewer left to somebody else, see :meth:`decide`. ``"second"``: items that one reviewer decided
                about, shown without the decision, for a second opinion: see ``opinion_on`` of :meth:`decide`.
                ``"differ"``: items of which the second opinion was another one, with both (``item.opinions``), for
                somebody to settle by any decision. The engine orders all of them.
            limit: Maximum number of items.
            offset: Number of items to skip.
            label: List only items with this label.
            suggested: List only items for which this label is suggested.
            min_score: List only items with at least this score, in [0, 1].
            diverse: Keep near-copies (cosine of at least .9) at least ten places apart, as long as there is anything
                else. The list is chosen from the most urgent items, five times as many as asked for but at most 1,000,
                which is also the maximum length of such a list.
            evidence: Number of nearest items to show beside each one, of its label and of others.
            reviewer: For ``"second"``: who is to give the opinion. What they decided themselves is left out.
            query_filter: Qdrant filter.

        Raises:
            EmptyIndexError: If the index is empty.
            NotScoredError: If the kind needs scores and there are none yet.
            ValueError: If the kind is unknown, a number out of range, or an option not one of the kind's.
        """
        options = ReviewOptions(
            kind=kind,
            limit=limit,
            offset=offset,
            label=label,
            suggested=suggested,
            min_score=min_score,
            diverse=diverse,
            evidence=evidence,
            reviewer=reviewer,
            query_filter=query_filter,
        )
        return await self._find(lambda state: queue.listed(state, options))

    async def count_review(
        self,
        *,
        kind: Kind = "ambiguous",
        label: str | None = None,
        suggested: str | None = None,
        min_score: float | None = None,
        reviewer: str | None = None,
        query_filter: models.Filter | None = None,
    ) -> int:
        """Number of items that :meth:`review` has on a list, of which the arguments say more there.

        Of ``"conflicting"`` and ``"duplicate"`` items there may be fewer: whether the other item is still there, with
        its text and label, is looked at only when they are listed.

        Raises:
            NotScoredError: If the kind needs scores and there are none yet.
            ValueError: If the kind is unknown, a number out of range, or an option not one of the kind's.
        """
        options = ReviewOptions(
            kind=kind,
            label=label,
            suggested=suggested,
            min_score=min_score,
            reviewer=reviewer,
            query_filter=query_filter,
        )
        return await self._find(lambda state: queue.count(state, options))

    async def decide(
        self,
        item_id: UserId,
        action: Action,
        label: str | None = None,
        *,
        reviewer: str = "anonymous",
        suggested: str | None = None,
        latest: int | None = None,
        opinion_on: int | None = None,
    ) -> ReviewDecision:
        """Decide about an item, and keep the decision in a log that only grows.

        The log lives in the engine, beside the index. A logged decision is carried out even if the process dies
        before that. If somebody else changed the item meanwhile, the decision is marked as failed. :meth:`review` does
        not list an item again once it was decided about, unless the reviewer was unsure.

        Args:
            item_id: Id of the item.
            action: ``"accept"`` (take the suggested label), ``"keep"`` (the label is right), ``"label"`` (set this
                label), ``"delete"`` (remove the item) or ``"unsure"`` (leave it to somebody else).
            label: The right label, for ``"label"``.
            reviewer: Name of the reviewer.
            suggested: For ``"accept"``: the suggestion that the reviewer saw. By default the current one is taken.
            latest: Number of the latest entry of the log about this item that the reviewer knew of, 0 for none. With
                it, a decision that is sent twice is carried out once.
            opinion_on: Number of another reviewer's decision that this is a second opinion on, given without seeing it:
                :meth:`review` lists such items under ``"second"``. ``"keep"`` then keeps the label that the data give.
                What two say can be compared: :func:`fg_search.review.reviewers.agreements`.

        Raises:
            DecisionConflictError: If there is a later entry, or another suggestion. Nothing was changed.
            ItemNotFoundError: If there is no such item.
            ValueError, TypeError: If the action is unknown, its label or the reviewer's name is missing, empty or no
                string, there is no suggestion to accept, or the second opinion is the first reviewer's.
        """
        async with self._deciding:
            return await workflow.decide(
                self._state,
                item_id,
                action,
                label,
                reviewer,
                suggested=suggested,
                latest=latest,
                opinion_on=opinion_on,
            )

    async def undo(self, number: int | None = None, *, reviewer: str = "anonymous") -> ReviewDecision:
        """Undo a decision. A deleted item comes back.

        Args:
            number: Number of the decision, which must be the latest standing one about its item. By default the latest
                decision of all is undone.
            reviewer: Name of the reviewer.

        Raises:
            NothingToUndoError: If no decision stands, or none has this number.
            DecisionConflictError: If it was undone already, there is a later one about its item, or somebody has
                changed the item since. Nothing was changed. Earlier decisions about other items can still be undone by
                their number.
        """
        async with self._deciding:
            return await workflow.undo(self._state, number, reviewer)

    async def decisions(
        self,
        *,
        limit: int | None = None,
        item_id: UserId | None = None,
        standing: bool = False,
        since: datetime | None = None,
    ) -> list[ReviewDecision]:
        """The log of decisions, the oldest first.

        Args:
            limit: Maximum number of decisions; the latest are returned.
            item_id: List only decisions about this item.
            standing: List only decisions that were carried out and not undone.
            since: List only decisions logged at this moment or later.

        Raises:
            ValueError: If the limit is less than one.
        """
        async with self._deciding:
            return await workflow.decisions(self._state, limit=limit, item_id=item_id, standing=standing, since=since)

    async def items(
        self,
        ids: Sequence[UserId] | None = None,
        *,
        query_filter: models.Filter | None = None,
        limit: int | None = None,
    ) -> list[IndexedItem]:
        """Items as they are stored: those with these ids, or all that match a filter.

        Args:
            ids: Ids of the items, which come in this order. Unknown ids are left out of the result.
            query_filter: Qdrant filter. By default all items are read.
            limit: Maximum number of items.

        Raises:
            ValueError: If both are given, or the limit is less than one.
        """
        return await index_items.items(self._state, ids, query_filter, limit)

    async def browse(
        self,
        *,
        order_by: ItemOrder = "id",
        descending: bool = False,
        query_filter: models.Filter | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> ItemPage:
        """A page of the items in an order, found without reading the pages before it.

        Args:
            order_by: ``"id"`` (numbers by size, then texts in an order of their own), ``"label"``, ``"confidence"``,
                ``"familiarity"``, or ``"wrong"``, the probability that the label is wrong, after :meth:`score_labels`.
                Items without what is ordered by come last.
            descending: The greatest first; not by id.
            query_filter: Qdrant filter. By default all items are listed.
            limit: Maximum number of items on the page.
            after: Where the page begins: ``following`` of the page before it. By default it is the first.

        Raises:
            NotScoredError: If the order needs scores and there are none yet.
            ValueError: If the order is unknown or has one direction only, the limit is less than one, or ``after`` is
                no place in this order.
        """
        return await item_page(self._state, order_by, descending, query_filter, limit, after)

    async def similar_items(
        self, item_id: UserId, *, limit: int = 10, query_filter: models.Filter | None = None
    ) -> list[SimilarItem]:
        """The items most similar to one of the index, by its stored vector: nothing is encoded.

        Args:
            item_id: Id of the item.
            limit: Maximum number of items.
            query_filter: Qdrant filter for the items to find.

        Raises:
            ItemNotFoundError: If there is no such item.
            ValueError: If the limit is less than one.
        """
        return await similar_items(self._state, item_id, limit, query_filter)

    async def labels(self, limit: int = 1000) -> list[str]:
        """Labels of the index, the most frequent first.

        Args:
            limit: Maximum number of labels.
        """
        return await item_labels.labels(self._state, limit)

    async def labels_of(self, ids: Sequence[UserId]) -> dict[UserId, str | None]:
        """Labels of items by their ids.

        Args:
            ids: Ids of the items. Unknown ids are left out of the result.

        Returns:
            The label of each item, ``None`` where it is unknown.

        Raises:
            TypeError, ValueError: If an id is not an int or str that an item could have.
        """
        return await item_labels.labels_of(self._state, ids)

    async def vectors_of(self, ids: Sequence[UserId]) -> dict[UserId, npt.NDArray[np.float32]]:
        """Base embeddings of items as they are stored, by their ids.

        Args:
            ids: Ids of the items. Unknown ids are left out of the result.

        Returns:
            The ``(d,)`` base embedding of each item; the engine keeps those of an index at unit length.

        Raises:
            TypeError, ValueError: If an id is not an int or str that an item could have.
            ValueError: If the index keeps no base vectors.
        """
        return await index_items.vectors_of(self._state, ids)

    async def make_filterable(self, fields: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
        """Have the engine index payload fields, so that it filters and groups by them fast, and in strict mode at all.

        A folder needs this for speed alone. Managed Qdrant runs in strict mode, which refuses to filter by other
        fields. New indexes may say it at once: ``IndexSettings(filterable=…)``.

        Args:
            fields: Kinds by field, such as ``{"category": "keyword", "price": "float"}``: ``keyword``, ``integer``,
                ``float``, ``bool``, ``datetime``, ``uuid``, ``text`` or ``geo``. Of a list of fields, the kinds are
                guessed from items.

        Returns:
            Kinds of all fields that are filterable now.

        Raises:
            ValueError: If a field or a kind is none, or no item has a value from which to guess the kind.
        """
        return await filterable.make_filterable(self._opened.state, fields)

    async def info(self) -> IndexInfo:
        """Counts, the encoder's identity, and a histogram of the confidence."""
        return await info.describe_index(self._state)

    async def check(self) -> IndexHealth:
        """Nodes, shards and copies of the index as they are placed, and what is wrong with them."""
        return await health.check_health(self._state)

    async def migrate(
        self,
        encoder: FeatureGroupEncoder | str | os.PathLike[str],
        *,
        batch_size: int | None = None,
        show_progress: bool | None = None,
        take_over: bool = False,
    ) -> None:
        """Re-encode everything with another encoder, into a new collection that then takes the old one's place.

        The index answers with the old encoder until the switch, and nothing is lost of what others write meanwhile.
        After an interruption, call it again: what was encoded already is used. If another process is moving the index,
        this one waits for it, or goes on in its place if it is dead. The new index has no calibration. Decisions stay;
        scores of :meth:`score_labels` and :meth:`score_items` stay if the base model is the same.

        Args:
            encoder: A fitted encoder, or the folder of a saved one.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.
            show_progress: Draw a progress bar. By default one is drawn when stderr is a terminal.
            take_over: Do not wait for another process that is moving the index; it cannot switch any more then.
        """
        known = await asyncio.to_thread(ready_encoder, encoder)
        await self._migrate(known, "as before", batch_size, show_progress, take_over)

    async def refit(
        self,
        folder: str | os.PathLike[str],
        *,
        set_aside: float | None = None,
        seed: int = 0,
        batch_size: int | None = None,
        show_progress: bool | None = None,
        take_over: bool = False,
    ) -> FeatureGroupEncoder:
        """Fit a new head on the current items, corrections included, save it, and :meth:`migrate` to it.

        Base embeddings are taken from the index where it has them as float32, so that no text is encoded again. The
        new head has the sizes of the old one. The index has no calibration afterwards. Decisions stay, and so do
        scores, which depend on base embeddings and labels alone: call :meth:`score_labels` again when many labels have
        changed.

        Args:
            folder: Folder of the new encoder, other than that of the current one.
            set_aside: In [0, 1]. Items whose label is wrong with at least this probability (:meth:`score_labels`) are
                neither learned from nor found until somebody decides about them (:meth:`decide`) or corrects them
                (:meth:`relabel`). By default no item is set aside, and those that were come back.
            seed: Random seed.
            batch_size: Number of texts the base model encodes at once; by default what suits its device.
            show_progress: Draw progress bars. By default they are drawn when stderr is a terminal.
            take_over: As in :meth:`migrate`.

        Returns:
            The new encoder.

        Raises:
            NotScoredError: If items are to be set aside and labels were not scored yet.
            ValueError: If the head learned from pairs or clusters, no label is left, the folder is that of the current
                encoder, or this is a view of one tenant.
            FileExistsError: If the folder holds something other than a saved encoder.
        """
        await self._connected.check_writable(self.collection)
        with progress_bar(await info.count_all(self._state), show_progress, "read") as advance:
            encoder = await self._find(
                lambda state: refit.refit(
                    state, folder, set_aside=set_aside, seed=seed, batch_size=batch_size, progress=advance
                )
            )
        await self._migrate(encoder, set_aside, batch_size, show_progress, take_over)
        return encoder

    async def snapshot(self, file: str | os.PathLike[str]) -> None:
        """Write the whole index, as it is at one moment, into one file. :meth:`restore` brings it back.

        That of a cluster of several nodes, or through a client that was handed in, is read point by point, and may go
        to any number of shards, or to a folder.

        The logs of decisions and queries are not part of it; :meth:`copy_to` takes them along.

        Args:
            file: File to write. It appears whole or not at all.

        Raises:
            FileExistsError: If the file exists.
            StorageError: If it cannot be written, or something else adds or deletes points of a cluster meanwhile.
        """
        await snapshots.save(self._state, os.fspath(file))

    async def _migrate(
        self,
        encoder: FeatureGroupEncoder,
        set_aside: float | AsBefore | None,
        batch_size: int | None,
        show_progress: bool | None,
        take_over: bool,
    ) -> None:
        await self._connected.check_writable(self.collection)
        with progress_bar(await info.count_all(self._opened.state), show_progress, "index") as advance:
            await migration.migrate(
                self._opened.state,
                encoder,
                batch_size=batch_size,
                progress=advance,
                set_aside=set_aside,
                take_over=take_over,
            )

    async def _find(self, search: Callable[[IndexState], Coroutine[Any, Any, T]]) -> T:
        """Search; again, if somebody has moved the index to another encoder."""
        return await on_current_encoder(self._state, search)

    @property
    def _state(self) -> IndexState:
        return self._opened.state.of(self._tenant)

    @property
    def _opened(self) -> OpenIndex:
        _ = self._connected
        if self._open_index is None:
            raise self._is_not_open()
        return self._open_index

    @property
    def _connected(self) -> AsyncEngine:
        if self._engine is None or self._is_closed:
            raise self._is_not_open()
        self._engine.check_process()
        return self._engine

    @property
    def _is_closed(self) -> bool:
        return self._open_index is not None and (self._engine is None or self._open_index.is_closed)

    def _is_not_open(self) -> IndexClosedError:
        if self._is_closed:
            return IndexClosedError(f"the index {self.collection!r} is closed; open it again")
        return IndexClosedError(f"{self!r} is not open; use `async with`, or await index.open()")
