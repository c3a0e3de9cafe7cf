"""Snapshots of collections whose shards lie on several nodes, or whose engine hands out no files.

A node's own snapshot holds the shards of that node alone. So the points are read through the cluster, which has every
shard wherever it is, into a collection in a temporary folder, and that is what the file holds: it has checksums, tells
how many points there were, and can be restored onto any number of shards.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from fg_search.edge.snapshot_archive import is_archive
from fg_search.engine.answers import FORBIDDEN, NOT_IMPLEMENTED
from fg_search.engine.port import Engine
from fg_search.errors import ServerError, StorageError
from fg_search.index.calibration import Calibration
from fg_search.index.collections import physical_collection
from fg_search.index.copies import OURS, copy_index, copy_into
from fg_search.index.rights import Right, make_target
from fg_search.index.state import IndexState
from fg_search.layout.schema import IndexMetadata
from fg_search.model.progress import unwatched

_NAME = "restored"


async def has_several_nodes(engine: Engine) -> bool:
    """Whether shards may lie on other nodes than the one that is asked."""
    try:
        cluster = await engine.cluster()
    except ServerError as error:
        if error.status not in (FORBIDDEN, NOT_IMPLEMENTED):
            raise
        return True  # the API key may not know, or nobody can tell
    return cluster is not None and len(cluster.nodes) > 1


async def save_points(state: IndexState, file: Path) -> None:
    """Write the points of an index into a file.

    Raises:
        StorageError: If points are missing in the end.
    """
    with TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
        async with state.engine.beside(Path(folder)) as local:
            await copy_index(state, local, state.collection, None, unwatched)
            points = await physical_collection(local, state.collection)
            whole = replace(state.metadata, source=None)  # with shards and copies
            await local.update_collection(points, metadata=whole.to_payload())
            made = await local.create_snapshot(points)
            unfinished = Path(folder) / "snapshot"
            await local.fetch_snapshot(points, made, unfinished)
        unfinished.rename(file)


def holds_points(file: Path) -> bool:
    """Whether a file holds points to be written, rather than files for a server."""
    return is_archive(file)


async def restore_points(right: Right, file: Path, check: Callable[[IndexMetadata], None]) -> None:
    """Make a target of the points in a file, with as many shards as the index had.

    Args:
        right: Right whose target is made.
        file: File that :func:`save_points` wrote, or a snapshot of an index in a folder.
        check: Raises an error if the index must not be restored.

    Raises:
        StorageError: If the file is damaged, or the target has not as many points as the file in the end.
    """
    with TemporaryDirectory() as folder:
        async with right.engine.beside(Path(folder)) as local:
            await local.recover_snapshot(_NAME, file)
            info = await local.get_collection(_NAME)
            metadata = IndexMetadata.of_collection(_NAME, info)
            check(metadata)
            calibration = Calibration.of_metadata(info.config.metadata, metadata.fingerprint)
            source = IndexState(local, _NAME, _NAME, metadata, calibration=calibration)
            if not right.engine.is_shared:
                metadata = replace(metadata, settings=metadata.settings.on_one_machine())
            await make_target(right, metadata)
            await copy_into(source, right.engine, right.target, metadata)
            counts = [await local.count(_NAME, OURS), await right.engine.count(right.target, OURS, copies="active")]
    if counts[0] != counts[1]:
        raise StorageError(
            f"the snapshot holds {counts[0]:,} points, but {counts[1]:,} were restored; nothing was changed"
        )


async def forget_shards(engine: Engine, target: str, metadata: IndexMetadata) -> None:
    """Leave shards and copies out of the settings of an index that has come to where there are none."""
    alone = replace(metadata, settings=metadata.settings.on_one_machine())
    if not engine.is_shared and alone != metadata:
        await engine.update_collection(target, metadata=alone.to_payload())


def check_whole(file: Path) -> None:
    """Refuse a server's snapshot that lacks shards of its collection.

    Raises:
        StorageError: If it does.
    """
    try:
        with tarfile.open(file, mode="r:") as archive:
            names = archive.getnames()
            content = archive.extractfile("config.json") if "config.json" in names else None
            params = json.load(content)["params"] if content is not None else {}
            wanted = int(params.get("shard_number") or 1)
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return  # whether it is a snapshot at all is the server's to say
    found = {name.split("/")[0] for name in names if name.split("/")[0].isdecimal()}
    if found and len(found) < wanted:
        raise StorageError(
            f"{str(file)!r} holds {len(found)} of the {wanted} shards of its collection, those of one node of a "
            "cluster; restoring it would lose the others"
        )
