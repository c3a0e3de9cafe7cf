"""The client of the embedded engine, with the methods of ``qdrant_client.QdrantClient``."""

from __future__ import annotations

from functools import wraps
from inspect import iscoroutinefunction, ismethod, signature
from typing import Any

from qdrant_client import QdrantClient

from fg_search.edge.errors import UnsupportedError
from fg_search.edge.methods.bulk import BulkMethods
from fg_search.edge.methods.collections import CollectionMethods
from fg_search.edge.methods.groups import GroupMethods
from fg_search.edge.methods.matrices import MatrixMethods
from fg_search.edge.methods.snapshots import SnapshotMethods
from fg_search.edge.signatures import public_methods


class EdgeClient(CollectionMethods, BulkMethods, GroupMethods, MatrixMethods, SnapshotMethods):
    """Qdrant Edge in a folder, with the interface of ``qdrant_client.QdrantClient``.

    Method names, arguments, ``qdrant_client.models`` types, results and errors for invalid input are those of
    ``QdrantClient``, so code written for one runs on the other. Arguments that only matter to a server (``wait``,
    ``timeout``, ``ordering``, ``consistency``, ``parallel``, ``method``, ``max_retries``, ``wal_config``) have no
    effect. ``docs/edge_client.md`` lists the methods.

    What differs:

    * ``order_by`` and ``facet`` need a payload index on the field, as on a server. Local mode does without.
    * Equal scores come in the order of the ids, so pages neither repeat nor lose points. Local mode and a server leave
      the order open. If more than 16,384 hits of a search share a score, the engine decides which of them come first.
    * ``facet`` counts exactly, whatever ``exact`` says.
    * Vectors with infinite values are refused, like those with NaN.
    * ``with_vectors`` refuses vector names that the collection does not have, and ``retrieve``, ``scroll`` and
      ``has_id`` refuse invalid ids, as a server does.
    * A field condition with two checks, such as a match and a range, is refused: the engine requires only one of them
      to hold, local mode requires both.
    * Without a text index on the field, a text match compares words and ignores case, as local mode does. Qdrant 1.18
      servers look for the whole text as a part of the value and respect case; ``models.MatchSubstring`` does that here.
    * ``values_count`` takes a missing field, null and an empty list as 0 values, and ``is_null`` matches a list that
      holds a null, as local mode does. Qdrant 1.18 servers read both differently for lists.
    * Payloads nested more than 100 levels deep are refused: the engine would write them but could not read them back.
    * About one in ten payload floats with 16 or 17 digits is read back one unit in the last place off. Very large and
      very small values are affected more often, occasionally by two units.
    * Payload integers beyond 64 bits become floats, as on a server; filters refuse them.
    * The name of a collection must not begin with a dot.
    * ``query_points_groups`` multiplies the limit of each prefetch by ``group_size`` and raises it to at least 10,000
      candidates. Local mode takes all points.
    * Indexes are built when :meth:`optimize` is called, not in the background. Until then dense vectors are searched
      exactly, unless they are quantized: binary quantization acts at once and finds fewer of the nearest points, until
      ``SearchParams`` ask for ``exact=True`` or for rescoring with oversampling. Sparse vectors need no index:
      optimizing makes their search slower.
    * ``update_collection`` changes graphs, quantization and segments with the next :meth:`optimize`. Removing a
      quantization and changing the modifier or the datatype of a sparse vector copy the collection; concurrent calls in
      other threads may then raise ``RuntimeError``.
    * MMR on a sparse vector is supported as the query, not in a prefetch.
    * Shard keys, clusters, inference (``models.Document``), full and shard snapshots, and the datatype ``turbo4`` raise
      ``UnsupportedError``, a subclass of ``NotImplementedError``.

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


def refused_method(client: str, name: str, theirs: Any) -> Any:
    """A method with the signature of qdrant-client's that says what to do instead."""
    message = f"{client}.{name}: not supported by Qdrant Edge; use a Qdrant server for it"

    def refuse(*_: Any, **__: Any) -> None:
        raise UnsupportedError(message)

    async def refuse_awaited(*_: Any, **__: Any) -> None:
        raise UnsupportedError(message)

    method: Any = wraps(theirs)(refuse_awaited if iscoroutinefunction(theirs) else refuse)
    method.__doc__ = "Not supported; raises UnsupportedError."
    method.__signature__ = signature(theirs)
    return staticmethod(method) if ismethod(theirs) else method  # a class method is bound already


# set here and not declared, so that type checkers report a call that can only fail
for _name, _theirs in public_methods(QdrantClient).items():
    if not hasattr(EdgeClient, _name):
        setattr(EdgeClient, _name, refused_method("EdgeClient", _name, _theirs))
