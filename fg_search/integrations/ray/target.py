"""Where an index is, for any process of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fg_search.confidence_index import ConfidenceIndex
from fg_search.edge.folder import collection_names
from fg_search.engine.address import is_url
from fg_search.engine.blocking import BlockingEngine, drive
from fg_search.engine.connection import as_written, connect, is_path
from fg_search.errors import IndexNotFoundError
from fg_search.index.opening import open_index
from fg_search.index.state import IndexState
from fg_search.integrations.ray.folder import FolderClient, shared_folder
from fg_search.layout.settings import IndexSettings

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

Location = str | os.PathLike[str] | Sequence[str]


@dataclass(frozen=True)
class Target:
    """An index, as every worker can open it.

    Attributes:
        location: URL of a server or of the nodes of one cluster, or a client of a folder that one process has open.
        collection: Name of the index.
        api_key: API key of the server.
        tenant: Tenant whose items are meant, ``None`` in an index without tenants.
    """

    location: str | FolderClient
    collection: str
    api_key: str | None = field(default=None, repr=False)
    tenant: str | None = None

    @contextmanager
    def index(
        self, encoder: FeatureGroupEncoder | None = None, settings: IndexSettings | None = None
    ) -> Iterator[ConfidenceIndex]:
        """Context with the index, that of the tenant if there is one."""
        with ConfidenceIndex(
            self.location, encoder, collection=self.collection, api_key=self.api_key, settings=settings
        ) as index:
            yield index if self.tenant is None else index.tenant(self.tenant)

    @contextmanager
    def engine(self) -> Iterator[BlockingEngine]:
        """Context with its engine."""
        engine = connect(self.location, api_key=self.api_key)
        try:
            yield engine
        finally:
            engine.close()

    @contextmanager
    def state(self) -> Iterator[IndexState]:
        """Context with the index as operations take it."""
        with self.engine() as engine:
            yield drive(open_index(engine, self.collection, None, None)).of(self.tenant)


@contextmanager
def reachable(
    location: Location, collection: str, api_key: str | None, tenant: str | None = None, *, create: bool = False
) -> Iterator[Target]:
    """Context with an index that workers can open: of a folder, one process has it open for all.

    Args:
        location: Folder, or URL of a server.
        collection: Name of the index.
        api_key: API key of the server.
        tenant: Tenant whose items are meant.
        create: Whether a folder that does not exist may be made.

    Raises:
        FolderLockedError: If the folder is open in another process.
        IndexNotFoundError: If the folder does not exist and may not be made.
        TypeError: If the location is a client, which cannot be sent to workers.
        ValueError: If it is in memory, where no worker can reach it.
    """
    location = as_written(location)
    if not is_path(location):
        raise TypeError(
            f"workers open the index themselves: give a folder or a URL as location, not {type(location).__name__}"
        )
    if os.fspath(location) == ":memory:":
        raise ValueError("workers are processes of their own, which reach nothing in memory; give a folder or a URL")
    if is_url(os.fspath(location)):
        yield Target(os.fspath(location), collection, api_key, tenant)
        return
    if not create and not collection_names(Path(location)):
        raise IndexNotFoundError(f"there is no index at {os.fspath(location)!r}")
    with shared_folder(location) as client:
        yield Target(client, collection, api_key, tenant)
