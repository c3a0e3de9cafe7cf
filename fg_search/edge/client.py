"""The client of the embedded engine, with the methods of ``qdrant_client.QdrantClient``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qdrant_client.client_base import QdrantBase

from fg_search.edge.errors import UnsupportedError
from fg_search.edge.methods.bulk import BulkMethods
from fg_search.edge.methods.collections import CollectionMethods
from fg_search.edge.methods.groups import GroupMethods
from fg_search.edge.methods.snapshots import SnapshotMethods


class EdgeClient(CollectionMethods, BulkMethods, GroupMethods, SnapshotMethods):
    """Qdrant Edge in a folder, with the interface of ``qdrant_client.QdrantClient``.

    Method names, arguments, ``qdrant_client.models`` types, results and errors for invalid input are those of
    ``QdrantClient``, so code written for one runs on the other. Arguments that only matter to a server (``wait``,
    ``timeout``, ``ordering``, ``consistency``, ``parallel``, ``method``, ``max_retries``, ``wal_config``) have no
    effect. ``docs/edge_client.md`` lists the methods.

    What differs:

    * ``order_by`` and ``facet`` need a payload index on the field, as on a server. Local mode does without.
    * Vectors with infinite values are refused, like those with NaN.
    * ``with_vectors`` refuses vector names that the collection does not have, and ``retrieve``, ``scroll`` and
      ``has_id`` refuse invalid ids, as a server does.
    * A field condition with two checks, such as a match and a range, is refused: the engine requires only one of
      them to hold, local mode requires both.
    * Payloads nested more than 100 levels deep are refused: the engine would write them but could not read them back.
    * About one in ten payload floats with 16 or 17 digits is read back one unit in the last place off. Very large
      and very small values are affected more often, occasionally by two units.
    * Payload integers beyond 64 bits become floats, as on a server; filters refuse them.
    * A collection needs at least one vector, and its name must not begin with a dot.
    * ``query_points_groups`` multiplies the limit of each prefetch by ``group_size`` and raises it to at least 10,000
      candidates. Local mode takes all points.
    * Indexes are built when :meth:`optimize` is called, not in the background. Until then dense vectors are searched
      exactly. Sparse vectors need no index: optimizing makes their search slower.
    * Only the metadata of an existing collection can be changed.
    * Shard keys, distance matrices, adding named vectors to an existing collection, inference
      (``models.Document``), full and shard snapshots, and the datatype ``turbo4`` raise ``UnsupportedError``, a
      subclass of ``NotImplementedError``.

    A write that has returned survives the death of the process. Creating, replacing and deleting a collection are
    atomic. Only one client at a time can open a folder; threads can share the client.

    Args:
        path: Folder; created if missing.

    Raises:
        FolderLockedError: The folder is open in another client.
        StorageError: The folder cannot be used.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from qdrant_client import models
        >>> with TemporaryDirectory() as folder, EdgeClient(folder) as client:
        ...     params = models.VectorParams(size=2, distance=models.Distance.DOT)
        ...     _ = client.create_collection("points", vectors_config=params)
        ...     _ = client.upsert("points", [models.PointStruct(id=1, vector=[1.0, 0.0])])
        ...     client.query_points("points", query=[0.5, 0.0]).points[0].score
        0.5
    """

    if not TYPE_CHECKING:  # hidden from type checkers, so that they report mistyped names

        def __getattr__(self, name: str) -> Callable[..., Any]:
            if name.startswith("_") or not hasattr(QdrantBase, name):
                raise AttributeError(f"'EdgeClient' object has no attribute {name!r}")

            def unsupported(*_: Any, **__: Any) -> None:
                raise UnsupportedError(f"EdgeClient.{name}: not supported by Qdrant Edge; use a Qdrant server for it")

            return unsupported
