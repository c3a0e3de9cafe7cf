"""Port: the methods of an engine that the operations of an index need.

Operations are coroutines against :class:`Engine`, written once. On :class:`~fg_search.engine.blocking.BlockingEngine`
no method ever suspends, so that :func:`~fg_search.engine.blocking.drive` runs a coroutine to its end without an event
loop. On :class:`~fg_search.engine.asynchronous.AsyncEngine` they are awaited.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

from qdrant_client import models
from qdrant_client.http.models import QueryResponse  # models.QueryResponse is that of fastembed

from fg_search.engine.cluster import Cluster, Shard
from fg_search.engine.consistency import Consistency, Copies, Ordering
from fg_search.engine.shard_keys import ShardKeys

PointId: TypeAlias = int | str
Selector: TypeAlias = Sequence[PointId] | models.Filter
PayloadIndex: TypeAlias = models.PayloadSchemaType | models.PayloadSchemaParams
PayloadIndexes: TypeAlias = Mapping[str, PayloadIndex]

T = TypeVar("T")


class Background(Protocol):
    """Runs calls while the operation does something else."""

    def start(self, call: Coroutine[Any, Any, None]) -> None:
        """Start a call beside those that run."""

    async def finish(self) -> None:
        """Wait for the call that was started first and was not waited for yet, if any, and raise its error."""


class Engine(Protocol):
    """Methods of ``qdrant_client.QdrantClient`` that an index needs, reduced to the results it needs.

    Counts are exact, and writes are waited for. Methods raise :class:`~fg_search.errors.ServerError` if a server stays
    busy or out of reach, or refuses a request, and otherwise what the client raises.

    Whether a call may be repeated, and what it can be split into, stands at its method in ``engine/adapter.py``.
    """

    @property
    def location(self) -> str:
        """Folder, URL, or class of the client."""

    @property
    def is_embedded(self) -> bool:
        """Whether this is the embedded engine: one shard, and hits of equal scores in the order of their ids."""

    @property
    def is_shared(self) -> bool:
        """Whether other processes may use the same collections at the same time."""

    async def check_writable(self, collection: str) -> None:
        """Raise :class:`~fg_search.errors.ServerError` if the API key may only read."""

    async def server_version(self) -> str | None:
        """Release of the server, ``None`` without one, or if it does not say."""

    async def has_slices(self) -> bool:
        """Whether several slices of the points can be read at once, and that is faster: on a server from 1.19 on."""

    # --- collections --------------------------------------------------------------------------------------

    async def get_collections(self) -> list[str]:
        """Names of all collections."""

    async def optimize(self, collection: str) -> bool:
        """Compact a collection of the embedded engine and build its indexes; whether anything was done."""

    async def get_collection(self, collection: str) -> models.CollectionInfo:
        """Describe a collection."""

    async def create_collection(
        self,
        collection: str,
        *,
        vectors_config: Mapping[str, models.VectorParams],
        sparse_vectors_config: Mapping[str, models.SparseVectorParams],
        metadata: Mapping[str, Any] | None = None,
        shard_number: int | None = None,
        sharding_method: models.ShardingMethod | None = None,
        replication_factor: int | None = None,
        write_consistency_factor: int | None = None,
    ) -> None:
        """Make a collection."""

    async def update_collection(self, collection: str, *, metadata: Mapping[str, Any]) -> None:
        """Merge ``metadata`` into that of a collection."""

    async def delete_collection(self, collection: str) -> None:
        """Remove a collection."""

    async def get_aliases(self) -> dict[str, str]:
        """Map of aliases to collections."""

    async def update_collection_aliases(self, operations: Sequence[models.AliasOperations]) -> None:
        """Change aliases."""

    async def create_payload_index(self, collection: str, field_name: str, field_schema: PayloadIndex) -> None:
        """Make a payload index. One that exists is left alone."""

    async def delete_payload_index(self, collection: str, field_name: str) -> None:
        """Remove a payload index, if it is there."""

    async def create_sparse_vector(self, collection: str, vector: str) -> None:
        """Add a sparse vector to a collection. One that exists is left alone."""

    async def delete_vector_name(self, collection: str, vector: str) -> None:
        """Remove a named vector from a collection and its points, if it is there."""

    # --- copies of a shard --------------------------------------------------------------------------------

    def want(self, ordering: Ordering | None, consistency: Consistency | None, shards_by: str | None = None) -> None:
        """Set what a user wants of every write and every read, ``None`` for what is needed.

        Args:
            ordering: Ordering of writes.
            consistency: Consistency of reads.
            shards_by: Payload key of the tenant, if collections may have shards with keys.
        """

    async def cluster(self) -> Cluster | None:
        """The nodes, ``None`` where there is only one."""

    async def shards(self, collection: str) -> list[Shard]:
        """Shards of a collection and their copies, none in an engine that runs here."""

    async def raise_copies(self, collection: str, copies: int, write_consistency: int | None) -> None:
        """Make the copies that shards of a collection lack, as far as there are nodes for them."""

    async def shard_keys(self, collection: str) -> ShardKeys | None:
        """Keys of the shards of a collection, ``None`` if they have none."""

    async def make_shard_keys(self, collection: str, shared: int, own: Sequence[int | str]) -> None:
        """Make the shards with keys that a collection lacks.

        Args:
            collection: The collection, which was made for such shards.
            shared: Number of shards that tenants share, unless there are some already.
            own: Tenants that have a shard of their own.
        """

    # --- reading ------------------------------------------------------------------------------------------
    # ``copies``: what is decided by the answer wants more than that of one copy of a shard

    async def count(self, collection: str, count_filter: models.Filter | None = None, *, copies: Copies = "any") -> int:
        """Number of points that match."""

    async def retrieve(
        self,
        collection: str,
        ids: Sequence[PointId],
        *,
        with_payload: bool | Sequence[str] = True,
        with_vectors: bool | Sequence[str] = False,
        copies: Copies = "any",
        tenant: str | None = None,
    ) -> list[models.Record]:
        """The points with these ids that exist. Those of a tenant are in its shard, which alone is asked."""

    async def scroll(
        self,
        collection: str,
        *,
        limit: int,
        scroll_filter: models.Filter | None = None,
        offset: PointId | None = None,
        order_by: models.OrderBy | None = None,
        with_payload: bool | Sequence[str] | models.PayloadSelectorExclude = True,
        with_vectors: bool | Sequence[str] = False,
        copies: Copies = "any",
    ) -> tuple[list[models.Record], PointId | None]:
        """A page of points, and the offset of the next page, ``None`` after the last."""

    async def facet(
        self, collection: str, key: str, *, limit: int, facet_filter: models.Filter | None = None
    ) -> list[models.FacetValueHit]:
        """Values of a payload key with the number of points that have each, the most frequent first."""

    async def query_batch_points(
        self, collection: str, requests: Sequence[models.QueryRequest], *, copies: Copies = "any"
    ) -> list[QueryResponse]:
        """Responses to several queries, in order. Hits of equal scores are ordered by id."""

    # --- writing ------------------------------------------------------------------------------------------
    # where shards have copies, a conditional write waits for the copy that puts such writes into an order; with
    # ``copies="active"``, another one does that while it is away

    async def upsert(
        self,
        collection: str,
        points: Sequence[models.PointStruct],
        *,
        update_filter: models.Filter | None = None,
        insert_only: bool = False,
        copies: Copies = "any",
    ) -> None:
        """Write points. Those that exist are left alone, or replaced only if they match ``update_filter``."""

    async def delete(self, collection: str, selector: Selector) -> None:
        """Remove points."""

    async def set_payload(
        self, collection: str, payload: Mapping[str, Any], *, points: Sequence[PointId], key: str | None = None
    ) -> None:
        """Merge ``payload`` into that of points, below ``key`` if one is given."""

    async def delete_payload(self, collection: str, keys: Sequence[str], *, points: Selector) -> None:
        """Remove keys from the payload of points."""

    async def batch_update_points(
        self, collection: str, operations: Sequence[models.UpdateOperation], *, copies: Copies = "any"
    ) -> None:
        """Carry out several writes in order."""

    # --- snapshots ----------------------------------------------------------------------------------------

    @property
    def transfers_snapshots(self) -> bool:
        """Whether snapshots that the engine makes can be fetched and sent as files."""

    async def create_snapshot(self, collection: str) -> str:
        """Make a snapshot in the engine, and return its name."""

    async def fetch_snapshot(self, collection: str, snapshot: str, file: Path) -> None:
        """Copy a snapshot of the engine into ``file``."""

    async def delete_snapshot(self, collection: str, snapshot: str) -> None:
        """Remove a snapshot from the engine."""

    async def recover_snapshot(self, collection: str, file: Path) -> None:
        """Make a collection from a snapshot."""

    def beside(self, folder: Path) -> AbstractAsyncContextManager[Engine]:
        """Context with an engine of the same kind that keeps its collections in a folder here."""

    # --- work and waiting ---------------------------------------------------------------------------------------------

    async def work(self, function: Callable[[], T]) -> T:
        """Call a function that keeps the CPU busy, such as encoding, without blocking an event loop."""

    async def pause(self, seconds: float) -> None:
        """Do nothing for a while."""

    def background(self) -> AbstractAsyncContextManager[Background]:
        """Context in which a call runs while the operation does something else.

        Leaving it waits for the call in progress. Its error is raised unless another one is being raised.
        """
