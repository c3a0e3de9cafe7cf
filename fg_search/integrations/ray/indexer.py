"""RayIndexer: fills, audits and renews an index with the workers of a Ray cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import ray
from ray.data import Dataset

from fg_search.engine.blocking import drive
from fg_search.engine.port import Engine
from fg_search.errors import EncoderNotFoundError, IndexNotFoundError
from fg_search.index.adoption.adopting import adopt
from fg_search.index.adoption.options import MOST_LEARNED, AdoptionOptions
from fg_search.index.adoption.preparing import prepare
from fg_search.index.adoption.renewing import bring_up_to_date
from fg_search.index.adoption.sync import SyncReport, source_of
from fg_search.index.crew import AsBefore
from fg_search.index.following import on_current_collection
from fg_search.index.migration import migrate
from fg_search.index.refit import refit
from fg_search.index.state import IndexState
from fg_search.integrations.ray.adding import RayAddReport, write
from fg_search.integrations.ray.audit import Audit, audit
from fg_search.integrations.ray.contents import Contents, find_contents
from fg_search.integrations.ray.crew import RayCrew
from fg_search.integrations.ray.encoders import EncoderSource, SharedEncoder, made, shared
from fg_search.integrations.ray.rows import Data, Layout, columns_of, items_of
from fg_search.integrations.ray.slices import in_slice, knows_slices
from fg_search.integrations.ray.target import Location, Target, reachable
from fg_search.integrations.ray.workers import Workers
from fg_search.layout.names import index_name
from fg_search.layout.settings import DEFAULT_COLLECTION, IndexSettings
from fg_search.model.progress import unwatched
from fg_search.records.record import Columns
from fg_search.validation import check_count

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

SAMPLED = 256
"""Items whose vectors an audit compares."""


class RayIndexer:
    """Fills, audits and renews an index with the workers of a Ray cluster.

    With a server, workers read, encode and write at once. A folder can be open in one process only: on the node of
    whoever calls, one actor has it open, and the workers ask that one.

    Whatever is killed, worker, node or driver, items are whole and those that were written stay: call the method again.

    Args:
        location: Folder, URL of a Qdrant server, or a list of the URLs of several nodes of one cluster.
        collection: Name of the index.
        api_key: API key of the server.
        tenant: Tenant whose items are meant, in an index with tenants.
        workers: Workers.

    Example:
        >>> indexer = RayIndexer("http://qdrant:6333", workers=Workers(8, gpus=0.5))  # doctest: +SKIP
        >>> report = indexer.add("items/", encoder="/models/support-encoder", id="id")  # doctest: +SKIP
    """

    def __init__(
        self,
        location: Location,
        *,
        collection: str = DEFAULT_COLLECTION,
        api_key: str | None = None,
        tenant: str | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.location = location
        self.collection = index_name(collection)
        self.tenant = tenant
        self.workers = workers or Workers()
        self._api_key = api_key

    def __repr__(self) -> str:
        return f"RayIndexer({self.location!r}, collection={self.collection!r}, workers={self.workers})"

    def add(
        self,
        data: Data,
        *,
        encoder: EncoderSource | None = None,
        text: str | Sequence[str] | None = "text",
        id: str | None = None,  # noqa: A002  # name of the column
        label: str | None = None,
        vector: str | None = None,
        settings: IndexSettings | None = None,
        on_error: Literal["stop", "skip"] = "stop",
        sampled: int = SAMPLED,
    ) -> RayAddReport:
        """Add the rows of files, or of a dataset of Ray, and audit the index afterwards.

        The data are read twice: all rows are checked before anything is encoded or written. What is in the index
        already is not encoded again, and what people have corrected stays.

        Args:
            data: A Parquet or JSONL file, a folder of such files, several of either, under the same path on every node;
                or a ``ray.data.Dataset``, whose rows have the columns.
            encoder: Folder of the encoder, under the same path on every node, or a function that makes one in each
                worker. By default it is the folder that the index remembers.
            text: Column with the text, or several, whose texts are joined. With ``vector`` they are only shown, and if
                it is ``None``, the ids are.
            id: Column with the id. By default ids are derived from the texts. All other columns are payload.
            label: Column with the label.
            vector: Column with the base embedding, a list of numbers, if you have it already; no text is encoded then.
            settings: Layout of a new index.
            on_error: What becomes of bad rows: ``"stop"`` raises before anything is written, ``"skip"`` leaves them
                out.
            sampled: Number of items whose vectors are compared with what the encoder makes of them: of the texts, or,
                with ``vector``, of the base embeddings that the index keeps.

        Raises:
            RecordError: If rows are bad, or differ and share an id; some of them are named. Nothing was written.
            EncoderNotFoundError: If a node cannot read the encoder.
            StorageError: If the audit finds that items are missing, or not what they are in the data.
            ValueError: If the workers find no room in the cluster, or neither texts nor vectors with ids are named.
        """
        columns = columns_of(text, label, id, vector)
        with self.workers.running() as pool, self._target(create=encoder is not None) as target:
            known = self._encoder(target, encoder, settings)
            pool.warm(known)
            begun = time.monotonic()
            contents, items = self._contents(target, data, columns, on_error, sampled)
            checked = time.monotonic()
            counts = write(items, target, known, pool, self.workers.items)
            written = time.monotonic()
            found = audit(target, contents, known, pool, sampled, from_base=vector is not None)
            audited = time.monotonic()
        found.check()
        seconds = {"checking": checked - begun, "writing": written - checked, "auditing": audited - written}
        return RayAddReport(**counts, bad=contents.bad, audit=found, seconds=seconds)

    def audit(
        self,
        data: Data,
        *,
        encoder: EncoderSource | None = None,
        text: str | Sequence[str] | None = "text",
        id: str | None = None,  # noqa: A002  # name of the column
        label: str | None = None,
        vector: str | None = None,
        on_error: Literal["stop", "skip"] = "stop",
        sampled: int = SAMPLED,
    ) -> Audit:
        """Compare the index with data: counted slice by slice, each item looked up, and some vectors made anew.

        Args:
            data: As in :meth:`add`.
            encoder: As in :meth:`add`.
            text: As in :meth:`add`.
            id: As in :meth:`add`.
            label: As in :meth:`add`.
            vector: As in :meth:`add`.
            on_error: As in :meth:`add`.
            sampled: As in :meth:`add`.

        Raises:
            Exception: What :meth:`add` raises before it writes.
        """
        columns = columns_of(text, label, id, vector)
        with self.workers.running() as pool, self._target() as target:
            known = self._encoder(target, encoder)
            contents, _ = self._contents(target, data, columns, on_error, sampled)
            return audit(target, contents, known, pool, sampled, from_base=vector is not None)

    def migrate(self, encoder: EncoderSource) -> None:
        """Give the index another encoder, whose vectors the workers make and write slice by slice.

        It answers with the old one until the switch, and nothing is lost of what others write meanwhile, as in
        :meth:`ConfidenceIndex.migrate`. After an interruption, call it again: what was encoded already is used.

        Args:
            encoder: As in :meth:`add`.

        Raises:
            EncoderNotFoundError: If a node cannot read the encoder.
            UnsupportedError: If the collection was adopted, and the encoder has another base model.
        """
        saved = shared(encoder)
        with self._target() as target, target.state() as state:
            self._move(target, state, made(encoder), saved, "as before")

    def refit(
        self,
        folder: str | os.PathLike[str],
        *,
        set_aside: float | None = None,
        max_learned: int = MOST_LEARNED,
        seed: int = 0,
    ) -> FeatureGroupEncoder:
        """Fit a new head on items of the index, corrections included, save it, and :meth:`migrate` to it.

        The head learns where this is called, from a sample that fits into memory there: a slice of the items by a hash
        of their ids.

        Args:
            folder: Folder of the new encoder, under the same path on every node, other than that of the current one.
            set_aside: As in :meth:`ConfidenceIndex.refit`.
            max_learned: Number of items that the head learns from, about, at most.
            seed: Random seed.

        Returns:
            The new encoder.

        Raises:
            Exception: What :meth:`ConfidenceIndex.refit` raises.
        """
        check_count(max_learned, name="max_learned")
        folder = Path(folder).absolute()
        with self._target() as target, target.state() as state:
            count = drive(state.engine.count(state.points))
            parts = -(-count // max_learned) if knows_slices(state.engine) else 1
            part = in_slice(max(1, parts), 0)
            encoder = drive(
                refit(state, folder, set_aside=set_aside, seed=seed, batch_size=None, progress=unwatched, part=part)
            )
            self._move(target, state, encoder, shared(folder), set_aside)
        return encoder

    def adopt(
        self,
        *,
        text: str | Sequence[str],
        vector: str = "",
        label: str | None = None,
        attributes: Sequence[str] = (),
        encoder: str | os.PathLike[str] | None = None,
        folder: str | os.PathLike[str],
        max_learned: int = MOST_LEARNED,
        seed: int = 0,
    ) -> SyncReport:
        """Make an index of a collection that is there already, as :meth:`ConfidenceIndex.adopt` does.

        The head learns where this is called; the workers compute and write the features slice by slice.

        Args:
            text: As in :meth:`ConfidenceIndex.adopt`.
            vector: As in :meth:`ConfidenceIndex.adopt`.
            label: As in :meth:`ConfidenceIndex.adopt`.
            attributes: As in :meth:`ConfidenceIndex.adopt`.
            encoder: Folder of the encoder whose model made the vectors, with a trained head or without. By default
                there is no model.
            folder: Folder to save the encoder in, once it has learned, under the same path on every node.
            max_learned: As in :meth:`ConfidenceIndex.adopt`.
            seed: Random seed.

        Raises:
            Exception: What :meth:`ConfidenceIndex.adopt` raises.
        """
        folder = Path(folder).absolute()
        options = AdoptionOptions(vector, text, label, attributes, encoder, folder, max_learned, seed)
        with self._target() as target, target.engine() as engine:
            found, known = drive(prepare(engine, self.collection, options, unwatched))
            with self._crew(target, engine, found.points, self._saved(known)) as crew:
                return drive(adopt(engine, found, known, unwatched, crew))

    def sync(self) -> SyncReport:
        """Bring an adopted collection up to date with what others have written, slice by slice.

        Raises:
            UnsupportedError: If the index is not an adopted collection.
        """
        with self._target() as target, target.state() as state:
            source_of(state)
            with self._crew(target, state.engine, state.points, self._saved(state.encoder)) as crew:
                return drive(on_current_collection(state, lambda one: bring_up_to_date(one, unwatched, crew=crew)))

    def _move(
        self,
        target: Target,
        state: IndexState,
        encoder: FeatureGroupEncoder,
        saved: SharedEncoder,
        set_aside: float | AsBefore | None,
    ) -> None:
        with self._crew(target, state.engine, state.points, saved) as crew:
            drive(migrate(state, encoder, batch_size=None, progress=unwatched, set_aside=set_aside, crew=crew))

    @contextmanager
    def _crew(self, target: Target, engine: Engine, points: str, encoder: SharedEncoder) -> Iterator[RayCrew]:
        count = drive(engine.count(points))
        with self.workers.running() as pool:
            yield RayCrew(target, encoder, pool, points=count, sliced=knows_slices(engine))

    def _saved(self, encoder: FeatureGroupEncoder) -> SharedEncoder:
        if encoder.folder is None:
            raise EncoderNotFoundError(
                f"the encoder of {self.collection!r} was never saved, and the workers load it from its folder"
            )
        return shared(encoder.folder)

    @contextmanager
    def _target(self, *, create: bool = False) -> Iterator[Target]:
        if not ray.is_initialized():
            ray.init()
        with reachable(self.location, self.collection, self._api_key, self.tenant, create=create) as target:
            yield target

    def _encoder(
        self, target: Target, encoder: EncoderSource | None, settings: IndexSettings | None = None
    ) -> SharedEncoder:
        """The encoder as workers get it. An index that is not there is made here, once."""
        try:
            with target.index(settings=settings) as index:
                remembered = index.metadata.encoder
        except IndexNotFoundError:
            if encoder is None:
                raise
            with target.index(made(encoder), settings):
                return shared(encoder)
        if encoder is not None:
            return shared(encoder)
        if remembered is None:
            raise EncoderNotFoundError(
                f"the index {self.collection!r} was filled by an encoder that was never saved; pass its folder, or a "
                "function that makes it, as encoder=…"
            )
        return shared(remembered)

    def _contents(
        self, target: Target, data: Data, columns: Columns, on_error: str, sampled: int
    ) -> tuple[Contents, Dataset]:
        if on_error not in ("stop", "skip"):
            raise ValueError(f"on_error must be 'stop' or 'skip', got {on_error!r}")
        with target.state() as state:
            tenant_key = state.metadata.settings.tenant_key
            sliced = knows_slices(state.engine)
            tenant = state.tenant
            dimension = state.metadata.dimension
        items = items_of(data, Layout(columns, dimension, tenant_key, tenant))
        return find_contents(items, data, skip=on_error == "skip", sliced=sliced, sampled=sampled), items
