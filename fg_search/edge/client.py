"""Qdrant Edge, the embedded engine, with the methods of ``qdrant_client.QdrantClient``."""

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
    """Qdrant Edge in a folder, with the face of ``qdrant_client.QdrantClient``.

    Method names, argument names, ``qdrant_client.models`` in and out, results and errors for bad input are
    those of ``QdrantClient``, so that code written for one runs on the other. Arguments that concern a server
    (``wait``, ``timeout``, ``ordering``, ``consistency``, ``parallel``, ``method``, ``max_retries``,
    ``wal_config``) have no effect. ``docs/edge_client.md`` lists the methods.

    What differs:

    * ``order_by`` and ``facet`` need a payload index of the field, as on a server. Local mode does without.
    * Vectors with infinite numbers are refused, like those with NaN.
    * ``with_vectors`` refuses the name of a vector that the collection does not have, and ``retrieve``,
      ``scroll`` and ``has_id`` what is no id, as a server does.
    * A field condition with two checks, such as a match and a range, is refused: the engine takes one of them for
      enough, local mode wants both.
    * Payloads nested more than 100 levels deep are refused: the engine would write and then not read them.
    * About one in ten floating-point numbers of a payload with 16 or 17 digits comes back one unit in the last
      place off, of very large and very small ones more, and now and then two units.
    * Integers of a payload beyond 64 bits become floating-point numbers, as on a server; filters refuse them.
    * A collection needs a vector, and its name must not begin with a dot.
    * ``query_points_groups`` gives each prefetch ``group_size`` times its limit, and at least 10,000 candidates.
      Local mode takes all points.
    * Indexes are built when :meth:`optimize` is called, not in the background. Dense vectors are searched exactly
      until then. Sparse vectors need no index: optimizing makes them slower.
    * Of a collection that exists, only the metadata can be changed.
    * Shard keys, distance matrices, new names of vectors in an existing collection, inference
      (``models.Document``), full and shard snapshots, and the datatype ``turbo4`` raise ``UnsupportedError``, a
      ``NotImplementedError``.

    A write that has returned survives the death of the process. A collection is created, replaced and deleted as a
    whole. One client at a time has the folder; it may be shared between threads.

    Args:
        path: The folder; made if it is missing.

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

    if not TYPE_CHECKING:  # a type checker should find mistyped names

        def __getattr__(self, name: str) -> Callable[..., Any]:
            if name.startswith("_") or not hasattr(QdrantBase, name):
                raise AttributeError(f"'EdgeClient' object has no attribute {name!r}")

            def unsupported(*_: Any, **__: Any) -> None:
                raise UnsupportedError(f"EdgeClient.{name}: not supported by Qdrant Edge; use a Qdrant server for it")

            return unsupported
