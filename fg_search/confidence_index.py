"""ConfidenceIndex: a corpus in Qdrant whose points know how sure their embedding is."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from qdrant_client import models
from tqdm import tqdm
from typing_extensions import Self

from fg_search.engine.connection import connect
from fg_search.engine.operations import Operation, T, run
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
from fg_search.index.copies import CopyReport, copy_index
from fg_search.index.evaluation import IndexEvaluation
from fg_search.index.info import IndexInfo
from fg_search.index.ingestion import AddReport
from fg_search.index.query_vectors import Query
from fg_search.index.relevance import Relevant
from fg_search.index.search_options import SearchOptions
from fg_search.index.search_results import GroupedResult, SearchResult
from fg_search.index.state import IndexState, OpenIndex, load_encoder
from fg_search.layout.points import Item
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
from fg_search.review.items import Kind, ReviewItem
from fg_search.review.label_scores import LabelScores
from fg_search.review.queue import ReviewOptions, listed

if TYPE_CHECKING:
    from fg_search.engine.connection import Client, Location
    from fg_search.model.encoder import FeatureGroupEncoder


class ConfidenceIndex:
    """Adds, searches and reviews items; the engine is Qdrant, embedded or remote.

    One index may be used by several threads.

    Args:
        location: A folder (embedded Qdrant Edge), ``":memory:"`` (qdrant-client's local mode), the URL of a
            Qdrant server, or any ready client with ``QdrantClient``'s methods, which stays the caller's to close.
        encoder: A fitted encoder or the folder of a saved one. Left out, the encoder that the index
            remembers is loaded when it is first needed.
        collection: Name of the index: an alias of the collection that holds the points.
        api_key: For a server.
        settings: How a new index is laid out; one that is there must have been made with the same.

    Raises:
        IndexNotFoundError: If there is no index and no encoder to make one with, or the collection is not ours.
        ModelMismatchError: If the index was filled by another encoder.
        FolderLockedError: If the folder is open in another client.
        NotFittedError: If the encoder has no trained head.
        ValueError: If it was made with other settings.

    Example:
        >>> index = ConfidenceIndex("support-index", encoder)  # doctest: +SKIP
        >>> index.add(texts, labels=labels)  # doctest: +SKIP
        >>> print(index.search("my card was eaten", min_confidence=0.6))  # doctest: +SKIP
    """

    def __init__(
        self,
        location: Location,
        encoder: FeatureGroupEncoder | str | os.PathLike[str] | None = None,
        *,
        collection: str = DEFAULT_COLLECTION,
        api_key: str | None = None,
        settings: IndexSettings | None = None,
    ) -> None:
        known = load_encoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
        if known is not None:
            _ = known.fingerprint  # an unfitted encoder must not leave an empty folder behind
        self._owns_client = isinstance(location, (str, os.PathLike))
        self._api_key = api_key
        self._tenant: str | None = None
        self._logging: Logging = "none"
        self._deciding = Lock()  # decisions are numbered, and depend on one another
        self.client: Client
        self.client, name = connect(location, api_key=api_key, create=encoder is not None)
        self.collection = collection
        try:
            self._opened = OpenIndex(self._run(collections.open_index(name, collection, known, settings)))
        except BaseException:
            self.close()
            raise

    @classmethod
    def restore(
        cls,
        file: str | os.PathLike[str],
        location: Location,
        *,
        encoder: FeatureGroupEncoder | str | os.PathLike[str] | None = None,
        collection: str = DEFAULT_COLLECTION,
        api_key: str | None = None,
    ) -> Self:
        """Bring back an index from a file of :meth:`snapshot`; one of this name is replaced as a whole.

        Args:
            file: Made from the same kind of engine.
            location: As for the class.
            encoder: As for the class.
            collection: Name of the restored index.
            api_key: For a server.

        Raises:
            StorageError: If the file is missing, damaged, or of another kind of engine; nothing was changed.
            IndexNotFoundError: If it holds a collection that is not ours; nothing was changed.
            ModelMismatchError: If another encoder filled it; nothing was changed.
        """
        path = snapshots.existing_file(file)
        known = load_encoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
        client, name = connect(location, api_key=api_key)
        try:
            run(client, snapshots.restore(client, name, collection, path, known, api_key))
        finally:
            if isinstance(location, (str, os.PathLike)):
                client.close()
        return cls(location, known, collection=collection, api_key=api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self._run(info.count(self._state))

    def __repr__(self) -> str:
        tenant = "" if self._tenant is None else f", tenant={self._tenant!r}"
        return f"ConfidenceIndex({self.location!r}, collection={self.collection!r}{tenant})"

    def close(self) -> None:
        """Release the folder or the connection; a client that was handed in is left open."""
        if self._owns_client:
            self.client.close()

    @property
    def location(self) -> str:
        """Folder, URL, or class of the client."""
        return self._state.location

    @property
    def metadata(self) -> IndexMetadata:
        """What the index remembers of the encoder that filled it, and how it is laid out."""
        return self._state.metadata

    @property
    def calibration(self) -> Calibration | None:
        """What :meth:`calibrate` learned, if it was called."""
        return self._state.calibration

    @property
    def encoder(self) -> FeatureGroupEncoder:
        """The encoder of this index, loaded from where it was saved if it was not handed in.

        Raises:
            EncoderNotFoundError: If it was never saved, or its folder is gone.
            ModelMismatchError: If the folder now holds another encoder.
        """
        return self._state.encoder

    def tenant(self, tenant: str) -> Self:
        """The same index, restricted to one tenant's items: every operation sees and writes those alone.

        It shares the client of this index, which stays the one to close.

        Args:
            tenant: Value of the payload key that ``settings.tenant_key`` names; it is set on every item added.

        Raises:
            ValueError: If the index was made without tenants, or the name is empty.
        """
        chosen = copy.copy(self)
        chosen._tenant = self._opened.state.of_tenant(tenant).chosen_tenant
        chosen._owns_client = False
        return chosen

    def add(
        self,
        texts: Iterable[str],
        *,
        ids: Iterable[UserId] | None = None,
        labels: Iterable[str | None] | None = None,
        payloads: Iterable[Mapping[str, Any] | None] | None = None,
        embeddings: FeatureEmbeddings | None = None,
        total: int | None = None,
        batch_size: int = 64,
        show_progress: bool | None = None,
    ) -> AddReport:
        """Encode items and write them; what is there already, unchanged, is neither encoded nor written again.

        Lists are checked as a whole before anything is written. Generators, for more than fits into memory, are
        checked, encoded and written batch by batch. An id that is already there is replaced, and a label that was
        corrected by :meth:`relabel` stays corrected as long as the data still say what was wrong. Whatever interrupts
        it, no item is in the index by half, and calling it again goes on from there.

        Args:
            texts: What to encode and to show.
            ids: An int or str for each; by default derived from the text, so the same text is the same item.
            labels: One for each, ``None`` where unknown.
            payloads: JSON objects of the user's own; the key ``fg`` is reserved.
            embeddings: What this index's encoder made of the texts, if it is already there.
            total: Number of items, for the progress bar, if ``texts`` is a generator.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw a progress bar; by default when stderr is a terminal.

        Returns:
            How many items were written, and how many were there already.

        Raises:
            TypeError, ValueError: On the first item that is wrong, with its position.
            ModelMismatchError: If the embeddings have the shape of another encoder.
            StorageError: If a server stays out of reach.
        """
        items = self._items(texts, ids, labels, payloads, embeddings)
        with _progress(len(items) if isinstance(items, Sized) else total, show_progress) as advance:
            return self._run(ingestion.add(self._state, items, embeddings, batch_size=batch_size, progress=advance))

    def delete(self, ids: Sequence[UserId] | None = None, *, query_filter: models.Filter | None = None) -> int:
        """Remove items, by their ids or by a filter.

        Args:
            ids: Ids that are not there are no error.
            query_filter: Any Qdrant filter; all items that match are removed.

        Returns:
            How many items were removed.

        Raises:
            ValueError: If neither or both are given.
        """
        return self._run(removal.delete(self._state, ids, query_filter))

    def relabel(self, labels: Mapping[UserId, str | None]) -> int:
        """Correct labels; what they were is kept beside them, so that adding the same data again does not undo it.

        Args:
            labels: The right label by id; ``None`` for unknown.

        Returns:
            How many items have another label now.

        Raises:
            ItemNotFoundError: If an id is not there; nothing is changed then.
        """
        return self._run(item_labels.relabel(self._state, labels))

    def search(
        self,
        query: Query,
        *,
        limit: int = 10,
        offset: int = 0,
        min_confidence: float | None = None,
        confidence_weight: float = 0.0,
        query_filter: models.Filter | None = None,
        target_precision: float | None = None,
        min_query_confidence: float | None = None,
        on_uncertain: Literal["flag", "abstain", "raise"] = "flag",
        rank_by: Literal["auto", "features", "base", "both"] = "auto",
        embedding: FeatureEmbeddings | None = None,
        log: Logging | None = None,
    ) -> SearchResult:
        """Find the items most similar to ``query``.

        Args:
            query: A text, or several phrasings of one question: they are searched as one, each of them weighted by
                its own confidence.
            limit: Hits at most.
            offset: Hits to leave out before the first, for paging.
            min_confidence: Exclude less confident points, inside the engine; in [0, 1].
            confidence_weight: Order by ``score · confidence^weight``, computed inside the engine for the points of the
                best scores: at least 200, and ten times ``offset + limit``.
            query_filter: Any Qdrant filter, on your own payload or on ``fg.confidence``, ``fg.label`` and ``fg.id``
                (your own ids; ``HasIdCondition`` takes the engine's).
            target_precision: Share of right answers that the answered queries are to reach, in (0, 1); queries whose
                calibrated confidence is too low for it are uncertain. Needs :meth:`calibrate`.
            min_query_confidence: A query less confident than this is uncertain; in [0, 1].
            on_uncertain: For an uncertain query: ``"flag"`` (hits, marked), ``"abstain"`` (no hits) or ``"raise"``.
            rank_by: ``"features"``, ``"base"``, ``"both"``, or ``"auto"`` by how the head was trained.
            embedding: What this index's encoder made of the query (one item for each phrasing), if it is there.
            log: Whether the query is logged; by default as :meth:`log_queries` says.

        Raises:
            EmptyIndexError: If nothing was added yet.
            NotCalibratedError: If a target precision is asked for and the index was not calibrated for such searches.
            UncertainQueryError: If the query is uncertain and ``on_uncertain`` is ``"raise"``.
            TypeError, ValueError: If an argument is out of its range.
        """
        options = SearchOptions(
            limit=limit,
            offset=offset,
            min_confidence=min_confidence,
            confidence_weight=confidence_weight,
            query_filter=query_filter,
            target_precision=target_precision,
            min_query_confidence=min_query_confidence,
            on_uncertain=on_uncertain,
            rank_by=rank_by,
        )
        which = self._logging if log is None else check_logging(log)
        return self._find(lambda state: logged_search.search_texts(state, [query], options, embedding, which))[0]

    def search_many(
        self,
        queries: Sequence[Query],
        *,
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int = 64,
        show_progress: bool | None = None,
        log: Logging | None = None,
        **options: Any,
    ) -> list[SearchResult]:
        """Search for several queries with few requests to the engine.

        Args:
            queries: Texts, or lists of phrasings.
            embeddings: What this index's encoder made of the queries, if it is already there.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw progress bars; by default when stderr is a terminal.
            log: As in :meth:`search`; the log is written to once.
            **options: As in :meth:`search`.

        Returns:
            One result a query, in order.

        Raises:
            As :meth:`search`; with ``on_uncertain="raise"`` at the first uncertain query.
        """
        chosen = SearchOptions(**options)
        which = self._logging if log is None else check_logging(log)
        return self._find(
            lambda state: logged_search.search_texts(
                state,
                queries,
                chosen,
                embeddings,
                which,
                batch_size=batch_size,
                show_progress=show_progress,
            )
        )

    def search_groups(
        self,
        query: Query,
        *,
        group_by: str,
        group_size: int = 3,
        embedding: FeatureEmbeddings | None = None,
        log: Logging | None = None,
        **options: Any,
    ) -> GroupedResult:
        """Find the items most similar to ``query``, at most ``group_size`` of each value of a payload field.

        Args:
            query: As in :meth:`search`.
            group_by: Key of the payload; ``"fg.label"`` groups by label.
            group_size: Hits of one value at most.
            embedding: As in :meth:`search`.
            log: As in :meth:`search`.
            **options: As in :meth:`search`; ``limit`` counts groups, and there is no ``offset``.

        Raises:
            As :meth:`search`.
        """
        chosen = SearchOptions(**options)
        which = self._logging if log is None else check_logging(log)
        return self._find(
            lambda state: logged_search.search_groups(state, query, chosen, group_by, group_size, embedding, which)
        )

    @property
    def logging(self) -> Logging:
        """Which queries are logged, as :meth:`log_queries` was told."""
        return self._logging

    def log_queries(self, which: Logging = "uncertain") -> None:
        """Keep the queries that are searched for from now on, for :meth:`logged_queries` and :meth:`missing_labels`.

        Nothing is logged before this is called, and what is set holds for this object and those that :meth:`tenant`
        makes of it later, not for others that open the same index. The log is in the engine, beside the index. An
        entry has the query's text, how often it was asked, when first and last, and of the last time the decision, its
        reason, both confidences, the best hit (id, label, score) and the base embedding. Queries that differ in case,
        punctuation or white space alone are one. Further pages of hits (``offset``) are not logged.

        There is room for 10,000 different queries a tenant; beyond that the thousand that were not asked for the
        longest time are dropped. A query that cannot be logged is answered as ever, and a warning goes to the logger
        ``fg_search``. :meth:`copy_to`, :meth:`snapshot` and :meth:`restore` leave the log where it is, :meth:`migrate`
        keeps it, :meth:`forget_queries` empties it.

        Args:
            which: ``"uncertain"`` (those that were flagged, abstained from or raised, or without any hit), ``"all"``
                or ``"none"``.

        Raises:
            ValueError: If there is no such choice.
        """
        self._logging = check_logging(which)

    def logged_queries(self, *, limit: int = 50, offset: int = 0, only_open: bool = True) -> list[LoggedQuery]:
        """Queries of the log, those asked most often first, of those the latest.

        Args:
            limit: Queries at most.
            offset: Queries to leave out before the first.
            only_open: Leave out those that got a sure answer and those that :meth:`decide_queries` decided about.

        Raises:
            ValueError: If a number is out of its range.
        """
        return self._run(query_decisions.logged(self._state, limit, offset, only_open=only_open))

    def missing_labels(
        self, *, similarity: float = SIMILARITY, least_size: int = LEAST_SIZE, batch_size: int = 64
    ) -> list[MissingLabel]:
        """Clusters of the open queries of the log: candidates for labels that the index does not have.

        The 5,000 that were asked most often are clustered, see
        :func:`fg_search.queries.clusters.cluster_queries`. Nothing is encoded, unless the index has moved to
        another base model since.

        Args:
            similarity: Mean cosine from which queries belong together, in [0, 1]; the default is for all-MiniLM-L6-v2.
            least_size: Clusters that were asked less often in all are left out.
            batch_size: Texts the base model encodes at once.

        Returns:
            The most asked first.

        Raises:
            ValueError: If a number is out of its range.
        """
        return self._run(query_decisions.missing_labels(self._state, similarity, least_size, batch_size=batch_size))

    def decide_queries(
        self,
        ids: Sequence[str],
        action: QueryAction,
        label: str | None = None,
        *,
        reviewer: str = "anonymous",
        batch_size: int = 64,
    ) -> list[LoggedQuery]:
        """Decide about queries of the log; they are no longer open then.

        Args:
            ids: Of the queries, such as those of a :class:`MissingLabel`.
            action: ``"add"`` (make items of them, with the ids they have in the log, which :meth:`refit` then learns
                from), ``"dismiss"`` (nothing is to be done), or ``"reopen"`` (take back either; an item that was added
                is removed).
            label: Of the new items, for ``"add"``.
            reviewer: Who decides.
            batch_size: Texts the base model encodes at once.

        Returns:
            The queries as they are now.

        Raises:
            ItemNotFoundError: If one of them is not in the log; nothing is changed then.
            ValueError: If there is no such action, or its label is missing.
        """
        return self._run(
            query_decisions.decide_queries(self._state, ids, action, label, reviewer, batch_size=batch_size)
        )

    def forget_queries(self, ids: Sequence[str] | None = None, *, before: datetime | None = None) -> int:
        """Remove queries from the log; all of them, if nothing else is said. Items made of them stay.

        Args:
            ids: Only these; ids that are not there are no error.
            before: Only those that were last asked before this moment, which has a time zone.

        Returns:
            How many were removed.
        """
        return self._run(query_decisions.forget_queries(self._state, ids, before))

    def calibrate(
        self,
        queries: Sequence[Query],
        relevant: Sequence[Relevant],
        *,
        relevant_by: Literal["auto", "label", "id"] = "auto",
        min_confidence: float | None = None,
        confidence_weight: float = 0.0,
        query_filter: models.Filter | None = None,
        rank_by: Literal["auto", "features", "base", "both"] = "auto",
        embeddings: FeatureEmbeddings | None = None,
        seed: int = 0,
        batch_size: int = 64,
        show_progress: bool | None = None,
    ) -> Calibration:
        """Learn from queries whose answer is known how sure a result is, and keep it with the index.

        From then on results carry a calibrated ``confidence``, and ``target_precision`` may be asked for. It holds for
        queries like these, searched with these options; calibrate again when the index, the traffic or the options
        change. A random half of the queries teaches the calibrator, the other half is kept to choose thresholds.

        Args:
            queries: That the head was not trained on and that are not in the index; some hundreds, better thousands.
            relevant: For each the label or id of a right answer, several of them, or ``None`` if the index has none.
            relevant_by: Whether these are labels or ids; by default what they are in this index.
            min_confidence: Of the searches to come.
            confidence_weight: Of the searches to come.
            query_filter: Restricts what is searched now; the searches to come may have other filters.
            rank_by: Of the searches to come.
            embeddings: What this index's encoder made of the queries, if it is already there.
            seed: Of the halves.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw a progress bar; by default when stderr is a terminal.

        Raises:
            EmptyIndexError: If nothing was added yet.
            ValueError: If the lists do not fit, or nearly all results are right, or nearly all wrong.
        """
        options = SearchOptions(
            min_confidence=min_confidence,
            confidence_weight=confidence_weight,
            query_filter=query_filter,
            rank_by=rank_by,
        )
        learned = self._run(
            relevance.calibrate_on(
                self._state,
                queries,
                relevant,
                relevant_by,
                options,
                embeddings,
                seed=seed,
                batch_size=batch_size,
                show_progress=show_progress,
            )
        )
        return self._opened.calibrated(learned)

    def evaluate(
        self,
        queries: Sequence[Query],
        relevant: Sequence[Relevant],
        *,
        relevant_by: Literal["auto", "label", "id"] = "auto",
        embeddings: FeatureEmbeddings | None = None,
        batch_size: int = 64,
        show_progress: bool | None = None,
        **options: Any,
    ) -> IndexEvaluation:
        """Measure the index on queries whose answer is known: quality, and whether it knows when it is wrong.

        Args:
            queries: New to head, index and calibration.
            relevant: As in :meth:`calibrate`.
            relevant_by: As in :meth:`calibrate`.
            embeddings: What this index's encoder made of the queries, if it is already there.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw a progress bar; by default when stderr is a terminal.
            **options: As in :meth:`search`.

        Raises:
            EmptyIndexError: If nothing was added yet.
            ValueError: If the lists do not fit.
        """
        return self._run(
            evaluation.evaluate_on(
                self._state,
                queries,
                relevant,
                relevant_by,
                SearchOptions(**options),
                embeddings,
                batch_size=batch_size,
                show_progress=show_progress,
            )
        )

    def copy_to(
        self,
        location: Location,
        *,
        collection: str = DEFAULT_COLLECTION,
        api_key: str | None = None,
        settings: IndexSettings | None = None,
        show_progress: bool | None = None,
    ) -> CopyReport:
        """Copy the whole index to another place, such as from a folder to a server, or into other settings.

        Points, vectors, calibration and decisions are copied as they are, logged queries are not. Nothing is encoded.
        Started again after it was interrupted, it writes only what is missing. In the end counts are compared, and a
        sample of points in full.

        Args:
            location: As for the class.
            collection: Name of the index there.
            api_key: For a server.
            settings: Of the new index, if not those of this one.
            show_progress: Draw a progress bar; by default when stderr is a terminal.

        Raises:
            ModelMismatchError: If there is an index of another encoder.
            StorageError: If points are missing or differ in the end.
            ValueError: If this is one tenant's view, or the settings cannot be had.
        """
        if self._state.chosen_tenant is not None:
            raise ValueError("an index is copied with all its tenants; call copy_to on the index itself")
        client, _ = connect(location, api_key=api_key)
        try:
            with _progress(self._run(info.count_all(self._state)), show_progress, "copy") as advance:
                return copy_index(self.client, self._state, client, collection, settings, advance)
        finally:
            if isinstance(location, (str, os.PathLike)):
                client.close()

    def score_labels(self, *, seed: int = 0, show_progress: bool | None = None) -> LabelScores:
        """Judge the label of every item by what was learned without it, for ``review(kind="contradicted")``.

        Scores and suggestions are kept with the items. Call it again when many labels or items have changed. All base
        embeddings have to fit into memory.

        Args:
            seed: Of everything random.
            show_progress: Draw a progress bar; by default when stderr is a terminal.

        Returns:
            How many labels are probably wrong, and for how many another one is suggested.

        Raises:
            ValueError: If there are no stored base embeddings, or too few labels.
        """
        with _progress(self._run(info.count_all(self._state)), show_progress, "read") as advance:
            return self._run(label_scores.score_labels(self._state, seed=seed, progress=advance))

    def score_items(self, *, seed: int = 0, show_progress: bool | None = None) -> ItemScores:
        """Compare all items, for ``review`` of the kinds ``"conflicting"``, ``"duplicate"`` and ``"outlier"``.

        It needs no labels. What it finds is kept with the items; call it again when many have changed. All base
        embeddings have to fit into memory. Up to 20,000 items are compared pair by pair; of more, near-duplicates are
        sought among items with common neighbours, so that the time grows with their number and not its square.

        Args:
            seed: Of what is drawn at random with more than 20,000 items.
            show_progress: Draw a progress bar; by default when stderr is a terminal.

        Raises:
            ValueError: If there are no stored base embeddings, or the index has tenants and none was chosen.
        """
        with _progress(self._run(info.count_all(self._state)), show_progress, "read") as advance:
            return self._run(item_scores.score_items(self._state, seed=seed, progress=advance))

    def confused_labels(self, limit: int = 20) -> list[ConfusedLabels]:
        """Pairs of labels that are taken for one another, and should perhaps be one, the most confused first.

        Counted by the engine, over the items that nobody decided about since :meth:`score_labels`. Its items:
        ``review(kind="contradicted", label=pair.first, suggested=pair.second)``, and the other way round.

        Args:
            limit: Pairs at most.

        Raises:
            NotScoredError: If labels were not judged yet.
            ValueError: If the limit is less than one.
        """
        return self._run(confused_labels.confused_labels(self._state, limit))

    def review(
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
        query_filter: models.Filter | None = None,
    ) -> list[ReviewItem]:
        """Items that a person should look at and nobody decided about yet, most urgent first.

        Args:
            kind: ``"ambiguous"``: the items whose embedding is least confident, so that the text itself is unclear;
                ``"contradicted"``: those whose label fits least, see :meth:`score_labels`; ``"conflicting"``: those
                with a near-duplicate that has another label, ``"duplicate"``: those with the same text as others,
                ``"outlier"``: those far from everything, see :meth:`score_items`; ``"unsure"``: those that a reviewer
                left to somebody else, see :meth:`decide`. All in the engine's order.
            limit: Items at most.
            offset: Items to leave out before the first.
            label: Only items with this label.
            suggested: Only items for which this label is suggested.
            min_score: Only items with at least this score, in [0, 1].
            diverse: For a batch worth a person's hour: of near-copies (a cosine of at least .9) no two among ten in a
                row, as long as there is anything else. Chosen among five times as many of the most urgent items, at
                most 1,000, which is also the most that such a list can have.
            evidence: Nearest items of the same label, and of others, to show beside each.
            query_filter: Any Qdrant filter.

        Raises:
            EmptyIndexError: If nothing was added yet.
            NotScoredError: For all kinds but ambiguous, if labels were not judged, or items not compared, yet.
            ValueError: If the kind is unknown or a number out of its range.
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
            query_filter=query_filter,
        )
        return self._run(listed(self._state, options))

    def decide(
        self,
        item_id: UserId,
        action: Action,
        label: str | None = None,
        *,
        reviewer: str = "anonymous",
        suggested: str | None = None,
        latest: int | None = None,
    ) -> Decision:
        """Decide about an item, and keep the decision in a log that is only ever added to.

        The log is in the engine, beside the index. What was written to it is carried out even if the process dies in
        between; if somebody else has changed the item by then, it is marked as failed. An item that was decided about
        is not listed by :meth:`review` again, but for those that somebody was unsure of.

        Args:
            item_id: Of the item.
            action: ``"accept"`` (the suggested label), ``"keep"`` (the label is right), ``"label"`` (set this one),
                ``"delete"`` (remove the item), ``"unsure"`` (leave it to somebody else: ``review(kind="unsure")``).
            label: For ``"label"``.
            reviewer: Who decides.
            suggested: For ``"accept"``: the suggestion that the reviewer saw; by default what is suggested now.
            latest: Number of the latest entry of the log about this item that the reviewer knew of, 0 for none; with
                it a decision that is sent twice is taken once.

        Raises:
            DecisionConflictError: If there is a later entry, or another suggestion; nothing was changed.
            ItemNotFoundError: If there is no such item.
            ValueError, TypeError: If there is no such action, its label or the reviewer's name is missing, empty or no
                string, or there is no suggestion to accept.
        """
        with self._deciding:
            return self._run(
                workflow.decide(self._state, item_id, action, label, reviewer, suggested=suggested, latest=latest)
            )

    def undo(self, number: int | None = None, *, reviewer: str = "anonymous") -> Decision:
        """Take back a decision; a deleted item comes back.

        Args:
            number: Of the decision, which must be the latest about its item that stands; by default the latest of all.
            reviewer: Who takes it back.

        Raises:
            NothingToUndoError: If there is no decision that stands, or none of this number.
            DecisionConflictError: If it was taken back already, there is a later one about its item, or somebody has
                changed the item otherwise since; nothing was changed. Earlier ones about other items can still be
                taken back by their number.
        """
        with self._deciding:
            return self._run(workflow.undo(self._state, number, reviewer))

    def decisions(
        self,
        *,
        limit: int | None = None,
        item_id: UserId | None = None,
        standing: bool = False,
        since: datetime | None = None,
    ) -> list[Decision]:
        """The log of decisions, the oldest first.

        Args:
            limit: Only the latest, so many at most.
            item_id: Only those about this item.
            standing: Only decisions that were carried out and not taken back.
            since: Only those that were logged then or later.

        Raises:
            ValueError: If the limit is less than one.
        """
        with self._deciding:
            return self._run(
                workflow.decisions(self._state, limit=limit, item_id=item_id, standing=standing, since=since)
            )

    def labels(self, limit: int = 1000) -> list[str]:
        """The labels in the index, the most frequent first.

        Args:
            limit: Labels at most.
        """
        return self._run(item_labels.labels(self._state, limit))

    def labels_of(self, ids: Sequence[UserId]) -> dict[UserId, str | None]:
        """The labels of items by their ids; ids that no item has are left out.

        Args:
            ids: Of the items.

        Returns:
            The label of each item that is there, ``None`` where it is unknown.

        Raises:
            TypeError, ValueError: If an id is none that an item could have.
        """
        return self._run(item_labels.labels_of(self._state, ids))

    def info(self) -> IndexInfo:
        """Counts, the encoder's identity, and a histogram of confidence, all from the engine."""
        return self._run(info.describe_index(self._state))

    def migrate(
        self,
        encoder: FeatureGroupEncoder | str | os.PathLike[str],
        *,
        batch_size: int = 64,
        show_progress: bool | None = None,
    ) -> None:
        """Re-encode everything with another encoder, into a new collection that then takes the old one's place.

        The index answers with the old encoder until the switch; what others write meanwhile is caught up with.
        Interrupted, it goes on from where it was when it is called again; what a migration to yet another encoder left
        is removed in the end. The new index has no calibration. Decisions stay; scores and marks of
        :meth:`score_labels` and :meth:`score_items` do if the base model is the same.

        Args:
            encoder: A fitted encoder or the folder of a saved one.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw a progress bar; by default when stderr is a terminal.
        """
        known = load_encoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
        self._migrate(known, "as before", batch_size, show_progress)

    def _migrate(
        self,
        encoder: FeatureGroupEncoder,
        set_aside: float | migration.AsBefore | None,
        batch_size: int,
        show_progress: bool | None,
    ) -> None:
        with _progress(self._run(info.count_all(self._opened.state)), show_progress) as advance:
            self._opened.migrated(
                self._run(
                    migration.migrate(
                        self._state,
                        encoder,
                        batch_size=batch_size,
                        progress=advance,
                        announce=self._opened.announce,
                        set_aside=set_aside,
                    )
                )
            )

    def refit(
        self,
        folder: str | os.PathLike[str],
        *,
        set_aside: float | None = None,
        seed: int = 0,
        batch_size: int = 64,
        show_progress: bool | None = None,
    ) -> FeatureGroupEncoder:
        """Fit a new head on the items as they are now, corrections included, save it, and :meth:`migrate` to it.

        Base embeddings are taken from the index where it has them as float32, so that no text is encoded again. The
        new head has the sizes of the old one. The index has no calibration afterwards. Decisions stay, and so do scores
        and marks, which depend on base embeddings and labels alone: call :meth:`score_labels` again when many labels
        have changed.

        Args:
            folder: Of the new encoder, not that of the one in use.
            set_aside: In [0, 1]: items whose label is wrong with at least this probability (:meth:`score_labels`) are
                neither learned from nor found until somebody decides about them (:meth:`decide`) or corrects them
                (:meth:`relabel`). By default none are, and those that were are back.
            seed: Seed of everything random.
            batch_size: Texts the base model encodes at once.
            show_progress: Draw progress bars; by default when stderr is a terminal.

        Returns:
            The new encoder.

        Raises:
            NotScoredError: If items are to be set aside and labels were not judged yet.
            ValueError: If the head learned from pairs or clusters, no label is left, the folder is that of the encoder
                in use, or this is one tenant's view.
            FileExistsError: If the folder holds something other than a saved encoder.
        """
        with _progress(self._run(info.count_all(self._state)), show_progress, "read") as advance:
            encoder = self._run(
                refit.refit(
                    self._state, folder, set_aside=set_aside, seed=seed, batch_size=batch_size, progress=advance
                )
            )
        self._migrate(encoder, set_aside, batch_size, show_progress)
        return encoder

    def snapshot(self, file: str | os.PathLike[str]) -> None:
        """Write the whole index, as it is at one moment, into one file; :meth:`restore` brings it back.

        The logs of decisions and queries are not part of it; :meth:`copy_to` takes that of decisions along.

        Args:
            file: It appears whole or not at all.

        Raises:
            FileExistsError: If it is there already.
            StorageError: If it cannot be written.
            UnsupportedError: For an index in memory.
        """
        self._run(snapshots.save(self.client, self._state, os.fspath(file), self._api_key))

    def _items(
        self,
        texts: Iterable[str],
        ids: Iterable[UserId] | None,
        labels: Iterable[str | None] | None,
        payloads: Iterable[Mapping[str, Any] | None] | None,
        embeddings: FeatureEmbeddings | None,
    ) -> Iterable[Item]:
        return ingestion.items_of(self._state, texts, ids, labels, payloads, embeddings)

    @property
    def _state(self) -> IndexState:
        return self._opened.state.of(self._tenant)

    def _find(self, search: Callable[[IndexState], Operation[T]]) -> T:
        """Search; again, if another thread migrated the index in this very moment."""
        state = self._opened.state
        while True:
            try:
                return self._run(search(state.of(self._tenant)))
            except ModelMismatchError:
                newer = self._opened.after(state)
                if newer is None:
                    raise
                state = newer

    def _run(self, operation: Operation[T]) -> T:
        return run(self.client, operation)


@contextmanager
def _progress(total: int | None, show: bool | None, what: str = "index") -> Iterator[Callable[[int], object]]:
    hide = not (sys.stderr.isatty() if show is None else show)
    with tqdm(total=total, desc=what, unit=" items", disable=hide, leave=False) as bar:
        yield bar.update


def evaluate(
    index: ConfidenceIndex, queries: Sequence[Query], relevant: Sequence[Relevant], **options: Any
) -> IndexEvaluation:
    """Measure an index on queries whose answer is known, see :meth:`ConfidenceIndex.evaluate`."""
    return index.evaluate(queries, relevant, **options)
