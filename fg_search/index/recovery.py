"""Recovery of an index whose name was lost: its collection is there, but no alias leads to it."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_client import models

from fg_search.engine.port import Engine
from fg_search.errors import IndexNotFoundError
from fg_search.index.leftovers import Target, points_in, survey
from fg_search.index.rights import is_running


@dataclass(frozen=True)
class LostCollection:
    """A collection of an index that has no name.

    Attributes:
        name: Name of the collection.
        points: Number of points.
        encoder: Folder of the encoder that filled it, ``None`` if it was never saved.
        fingerprint: Fingerprint of that encoder.
        made_by: Operation that made it, for people.
        complete: Whether that operation finished. ``None`` if a release before 0.2 made it.
    """

    name: str
    points: int
    encoder: str | None
    fingerprint: str
    made_by: str
    complete: bool | None

    def __str__(self) -> str:
        state = "not complete" if self.complete is False else "complete"
        return f"{self.name} ({self.points:,} points, {state}; {self.made_by})"


async def lost_collections(engine: Engine, collection: str) -> list[LostCollection]:
    """Collections with points that were made for an index and that no alias leads to, the largest first."""
    found = [await _described(engine, target) for target in (await survey(engine, collection)).unused]
    return sorted((lost for lost in found if lost.points), key=lambda lost: (-lost.points, lost.name))


async def recover(engine: Engine, collection: str, chosen: str | None) -> LostCollection:
    """Give an index its name back.

    Args:
        engine: Engine of the index.
        collection: Name of the index.
        chosen: Collection that the name is to lead to. It may be left out if only one complete collection is there.

    Raises:
        IndexNotFoundError: If nothing is there to recover, or not that collection.
        ValueError: If the index has its name, or there are several collections to choose from.
    """
    if (await engine.get_aliases()).get(collection) is not None:
        raise ValueError(f"the index {collection!r} at {engine.location!r} has its name; there is nothing to recover")
    lost = await lost_collections(engine, collection)
    if not lost:
        raise IndexNotFoundError(f"there is no collection of an index {collection!r} at {engine.location!r}")
    known = {found.name: found for found in lost}
    if chosen is not None and chosen not in known:
        raise IndexNotFoundError(f"there is no lost collection {chosen!r}; there are: {', '.join(known)}")
    complete = [found for found in lost if found.complete is not False]
    if chosen is None and len(complete) != 1:
        raise ValueError(
            f"choose one of {len(lost)} collections: {', '.join(map(str, lost))}; "
            "`fg-search recover … --from NAME` takes one of them"
        )
    found = complete[0] if chosen is None else known[chosen]
    alias = models.CreateAlias(collection_name=found.name, alias_name=collection)
    await engine.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    return found


async def check_nothing_to_recover(engine: Engine, collection: str) -> None:
    """Check that no index is there which has lost its name.

    Raises:
        IndexNotFoundError: If there is one.
    """
    lost = [found for found in await lost_collections(engine, collection) if found.complete is not False]
    # somebody may have made and moved it since it was looked for
    if lost and collection not in await engine.get_aliases():
        raise IndexNotFoundError(
            f"the index {collection!r} at {engine.location!r} has lost its name, but a collection of it is there: "
            f"{lost[0].name!r} with {lost[0].points:,} points; `fg-search recover` brings it back"
        )


async def _described(engine: Engine, target: Target) -> LostCollection:
    operation = target.operation
    busy = operation is not None and is_running(operation, engine) and not operation.complete
    points = 0 if busy else await points_in(engine, target.name)
    return LostCollection(
        name=target.name,
        points=points,
        encoder=target.metadata.encoder,
        fingerprint=target.metadata.fingerprint,
        made_by="a release before 0.2" if operation is None else str(operation),
        complete=None if operation is None else operation.complete,
    )
