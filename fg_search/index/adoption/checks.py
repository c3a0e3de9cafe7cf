"""Checks of a collection that is to be adopted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.engine.paging import scroll_pages
from fg_search.engine.port import Engine
from fg_search.engine.versions import release
from fg_search.errors import IndexNotFoundError, UnsupportedError
from fg_search.index.collections import find_collection, physical_collection
from fg_search.layout.adoption import Adoption
from fg_search.layout.conditions import is_null, is_present
from fg_search.layout.keys import FEATURES_VECTOR, METADATA_KEY, PAYLOAD_KEY, is_ours_in_metadata
from fg_search.layout.logs import log_names
from fg_search.layout.points import payload_of
from fg_search.layout.schema import IndexMetadata
from fg_search.layout.source import Source

_OLDEST = (1, 18)  # brought vectors that are added to a collection which is there
_POINTS_PER_PAGE = 1000
_UNIT = 0.01  # how far the length of a vector may be from 1, where the engine does not see to that


@dataclass(frozen=True)
class Adoptable:
    """A collection that can be adopted, or whose adoption can be gone on with.

    Attributes:
        name: Name that it is asked for by, which may be an alias.
        points: Its own name.
        source: Where it has vector, text and label.
        dimension: Dimension of the vector.
        distance: Distance of the vector.
        info: Description of the collection.
        adoption: State of the adoption, ``None`` if it has not begun.
        metadata: What the index remembers since it has.
    """

    name: str
    points: str
    source: Source
    dimension: int
    distance: models.Distance
    info: models.CollectionInfo
    adoption: Adoption | None
    metadata: IndexMetadata | None


async def adoptable(engine: Engine, collection: str, source: Source) -> Adoptable:
    """Check a collection before it is adopted.

    Raises:
        IndexNotFoundError: If there is no such collection.
        UnsupportedError: If the server is too old, or the collection is of a kind that cannot be adopted.
        ValueError: If it is an index already, lacks the vector, or has a payload key ``fg`` of somebody else's.
    """
    await _check_release(engine)
    points = await physical_collection(engine, collection)
    info = await find_collection(engine, points)
    if info is None:
        raise IndexNotFoundError(f"there is no collection {collection!r} at {engine.location!r} to adopt")
    adoption = Adoption.of_metadata(info.config.metadata)
    if adoption is None and METADATA_KEY in (info.config.metadata or {}):
        raise ValueError(f"the collection {collection!r} is an index already; open it, there is nothing to adopt")
    if info.config.params.sharding_method == models.ShardingMethod.CUSTOM:
        raise UnsupportedError(
            f"the collection {collection!r} has shards with keys, which cannot be adopted; add its items to an index "
            "of their own with index.add(…)"
        )
    params = _vector(info, collection, source.vector)
    metadata = None
    if adoption is not None:
        metadata = IndexMetadata.of_collection(collection, info)
        assert metadata.source is not None  # noqa: S101  an adopted collection has one
        known = metadata.source
        if replace(source, features=known.features, former=known.former) != known:
            raise ValueError(
                f"the collection {collection!r} was adopted with {_shown(known)}, not with {_shown(source)}; leave it "
                "so, or take the adoption back with `fg-search adopt … --undo` and adopt it anew"
            )
        source = known
    else:
        source = replace(source, features=_free_name(info, collection))
        _check_metadata(info, collection)
        await _check_log_names(engine, collection)
        await _check_key(engine, points, collection, info)
    return Adoptable(
        collection, points, source, params.size, models.Distance(params.distance), info, adoption, metadata
    )


def check_lengths(target: Adoptable, vectors: npt.NDArray[np.float32]) -> None:
    """Check that dot products are cosines, where the engine does not see to that.

    Raises:
        UnsupportedError: If not.
    """
    if target.distance == models.Distance.COSINE or not vectors.any():
        return
    lengths = np.linalg.norm(vectors[vectors.any(axis=1)], axis=1)
    if np.abs(lengths - 1).max() > _UNIT:
        raise UnsupportedError(
            f"the vectors of {target.name!r} are compared by dot product and have lengths from {lengths.min():.2f} to "
            f"{lengths.max():.2f}, so that this is no cosine; add its items to an index of their own with index.add(…)"
        )


async def _check_release(engine: Engine) -> None:
    version = await engine.server_version()
    found = None if version is None else release(version)
    if found is not None and found < _OLDEST:
        raise UnsupportedError(
            f"the server is Qdrant {version}, and a collection that is there gets another vector from 1.18 on: update "
            "it, or copy the collection to a newer server or a folder (QdrantClient(…).migrate(…)) and adopt it there"
        )


def _vector(info: models.CollectionInfo, collection: str, name: str) -> models.VectorParams:
    found = info.config.params.vectors
    known = {"": found} if isinstance(found, models.VectorParams) else dict(found or {})
    if name not in known:
        names = ", ".join(repr(one) if one else "the unnamed one (vector='')" for one in known) or "none"
        raise ValueError(f"the collection {collection!r} has no dense vector {name!r}; it has: {names}")
    params = known[name]
    if params.multivector_config is not None:
        raise UnsupportedError(
            f"the vector {name!r} of {collection!r} is a list of vectors for each point; choose another"
        )
    if params.distance not in (models.Distance.COSINE, models.Distance.DOT):
        raise UnsupportedError(
            f"the vector {name!r} of {collection!r} is compared by {params.distance}, and an index needs a cosine; add "
            "its items to an index of their own with index.add(…)"
        )
    return params


def _free_name(info: models.CollectionInfo, collection: str) -> str:
    """Name of the vector of features, which nobody has used yet."""
    dense = info.config.params.vectors
    taken = {*(dense if isinstance(dense, dict) else ()), *(info.config.params.sparse_vectors or {})}
    free = [name for name in (FEATURES_VECTOR, f"fg_{FEATURES_VECTOR}") if name not in taken]
    if not free:
        raise ValueError(
            f"the collection {collection!r} has vectors {FEATURES_VECTOR!r} and {'fg_' + FEATURES_VECTOR!r}, so that "
            "there is no name left for that of the index; rename one of them"
        )
    return free[0]


def _check_metadata(info: models.CollectionInfo, collection: str) -> None:
    taken = [key for key in info.config.metadata or {} if is_ours_in_metadata(key)]
    if taken:
        raise ValueError(
            f"the metadata of the collection {collection!r} have {taken[0]!r} of somebody else's, which is the "
            "index's own; rename that key"
        )


async def _check_log_names(engine: Engine, collection: str) -> None:
    for name in log_names(collection):
        if await find_collection(engine, name) is not None:
            raise ValueError(
                f"there is a collection {name!r} already, which is the name of a log of the index {collection!r}; give "
                f"{collection!r} an alias, and adopt it by that name"
            )


async def _check_key(engine: Engine, points: str, collection: str, info: models.CollectionInfo) -> None:
    strict = info.config.strict_mode_config
    if strict is not None and strict.enabled and strict.unindexed_filtering_retrieve is False:
        taken = 0  # such a server filters by indexed keys alone
        async for records in scroll_pages(engine, points, page_size=_POINTS_PER_PAGE, with_payload=[PAYLOAD_KEY]):
            taken += sum(PAYLOAD_KEY in payload_of(record) for record in records)
    else:
        taken = await engine.count(points, models.Filter(should=[is_present(PAYLOAD_KEY), is_null(PAYLOAD_KEY)]))
    if taken:
        raise ValueError(
            f"{taken:,} points of the collection {collection!r} have a payload key {PAYLOAD_KEY!r} of somebody else's, "
            "which is the index's own; rename that key"
        )


def _shown(source: Source) -> str:
    return f"vector={source.vector!r}, text={list(source.text)!r}, label={source.label!r}"
