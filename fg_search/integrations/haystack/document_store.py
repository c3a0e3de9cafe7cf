"""A document store on an index."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from threading import RLock
from typing import Any

from haystack import default_from_dict, default_to_dict
from haystack.dataclasses import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret
from qdrant_client import models
from typing_extensions import Self

from fg_search.confidence_index import ConfidenceIndex
from fg_search.engine.address import is_url
from fg_search.index.items import IndexedItem
from fg_search.integrations.haystack.documents import stored_document
from fg_search.integrations.haystack.filters import key_of, to_qdrant
from fg_search.integrations.haystack.shared_indexes import let_go, shared
from fg_search.layout.settings import DEFAULT_COLLECTION
from fg_search.model.encoder import FeatureGroupEncoder


class ConfidenceDocumentStore:
    """A document store that knows how sure it is, on a :class:`~fg_search.ConfidenceIndex`.

    Contents of documents are the texts of items, their metadata the payload. The index's encoder embeds the texts: the
    ``embedding`` of a document is neither needed nor kept. The index is opened when it is first needed; stores on the
    same folder with the same encoder, such as those of a pipeline that was loaded, share it.

    Args:
        location: Folder or URL of the index, or ``":memory:"``.
        encoder: A fitted encoder, or the folder of a saved one; an index that is there remembers its own.
        collection: Name of the index.
        api_key: API key of the server.
        label_key: Key of the metadata whose value is the label of an item.
        index: An open index, in place of all of these; it stays yours to close, and the store cannot be serialized.

    Example:
        >>> store = ConfidenceDocumentStore("support-index", "support-encoder")  # doctest: +SKIP
        >>> store.write_documents([Document(content="Where is my parcel?")])  # doctest: +SKIP
    """

    def __init__(
        self,
        location: str = ":memory:",
        encoder: FeatureGroupEncoder | str | None = None,
        *,
        collection: str = DEFAULT_COLLECTION,
        api_key: Secret | None = None,
        label_key: str | None = None,
        index: ConfidenceIndex | None = None,
    ) -> None:
        self.location = location
        self.encoder = encoder
        self.collection = collection
        self.api_key = api_key
        self.label_key = label_key
        self._given = index
        self._opened: ConfidenceIndex | None = None
        self._opening = RLock()

    @property
    def index(self) -> ConfidenceIndex:
        """The index, opened if it was not.

        Raises:
            Exception: What opening it raises.
        """
        if self._given is not None:
            return self._given
        with self._opening:
            if self._opened is None:
                if self.location == ":memory:" or is_url(self.location):
                    self._opened = self._open()
                else:
                    self._opened = shared(self, self.location, self.collection, self.encoder, self._open)
            return self._opened

    def _open(self) -> ConfidenceIndex:
        key = None if self.api_key is None else self.api_key.resolve_value()
        return ConfidenceIndex(self.location, self.encoder, collection=self.collection, api_key=key)

    def close(self) -> None:
        """Close the index, unless another store is on the same folder; it is opened again when it is needed."""
        with self._opening:
            if self._opened is not None:
                let_go(self, self._opened)
                self._opened = None

    def to_dict(self) -> dict[str, Any]:
        """Arguments of the class as JSON values.

        Raises:
            ValueError: If the index was handed in, or the encoder was not saved.
        """
        if self._given is not None:
            raise ValueError("a store on an index that was handed in cannot be serialized; give it a location")
        encoder = self.encoder
        if isinstance(encoder, FeatureGroupEncoder):
            if encoder.folder is None:
                raise ValueError("the encoder of this store was not saved; save it with encoder.save(folder)")
            encoder = os.fspath(encoder.folder)
        return default_to_dict(
            self,
            location=self.location,
            encoder=encoder,
            collection=self.collection,
            api_key=None if self.api_key is None else self.api_key.to_dict(),
            label_key=self.label_key,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """A store with these arguments."""
        arguments = dict(data["init_parameters"])
        if arguments.get("api_key") is not None and not isinstance(arguments["api_key"], Secret):
            arguments["api_key"] = Secret.from_dict(arguments["api_key"])
        return default_from_dict(cls, {**data, "init_parameters": arguments})

    def count_documents(self) -> int:
        """Number of documents."""
        return len(self.index)

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Documents that match a filter; by default all.

        Raises:
            FilterError: If it is none of Haystack's filters.
        """
        return [stored_document(item) for item in self._matching(filters)]

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents.

        Args:
            documents: Documents; each needs a content.
            policy: What happens to those whose id is there already, or twice among them: ``SKIP``, ``OVERWRITE`` or
                ``FAIL``, the default.

        Returns:
            Number of documents written.

        Raises:
            ValueError: If something else is among them, or a document has no content.
            DuplicateDocumentError: With ``FAIL``, if an id is there already. Nothing is written then.
        """
        if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
            raise ValueError("documents must be a list of Haystack's documents")
        chosen = documents if policy == DuplicatePolicy.OVERWRITE else self._new(documents, policy)
        last = {document.id: document for document in chosen}
        if last:
            self._add(list(last.values()))
        return len(chosen)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Remove documents; unknown ids are ignored."""
        self.index.delete(document_ids)

    def delete_all_documents(self) -> None:
        """Remove all documents."""
        self.index.delete(query_filter=models.Filter())

    def delete_by_filter(self, filters: dict[str, Any]) -> int:
        """Remove the documents that match a filter; returns their number."""
        return self.index.delete(query_filter=to_qdrant(filters) or models.Filter())

    def update_by_filter(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """Set metadata of the documents that match a filter, which are encoded again; returns their number."""
        found = self._matching(filters)
        if found:
            self._add([stored_document(item) for item in found], meta, [item.label for item in found])
        return len(found)

    def count_documents_by_filter(self, filters: dict[str, Any]) -> int:
        """Number of documents that match a filter. They are read for that."""
        return len(self._matching(filters))

    def count_unique_metadata_by_filter(self, filters: dict[str, Any], metadata_fields: list[str]) -> dict[str, int]:
        """Number of different values of fields, in the documents that match a filter. They are read for that."""
        items = self._matching(filters)
        return {field: len(_counted(items, field)) for field in metadata_fields}

    def get_metadata_fields_info(self) -> dict[str, dict[str, str]]:
        """Fields of metadata with the type of their values. All documents are read for that."""
        kinds: dict[str, dict[str, str]] = {}
        for item in self._matching(None):
            for field, value in item.payload.items():
                kinds.setdefault(field, {"type": _KINDS.get(type(value), "keyword")})
        return kinds

    def get_metadata_field_min_max(self, metadata_field: str) -> dict[str, Any]:
        """Least and greatest value of a field, ``None`` without any. All documents are read for that."""
        values = [value for _, value in _counted(self._matching(None), metadata_field)]
        return {"min": min(values, default=None), "max": max(values, default=None)}

    def get_metadata_field_unique_values(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int | None = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """Different values of a field in order, and their number. The documents are read for that.

        Args:
            metadata_field: The field.
            search_term: Only values with this in their text, in upper or lower case.
            from_: Number of values to skip.
            size: Maximum number of values, ``None`` for all.
            filters: Only of documents that match.
        """
        values = [value for _, value in _counted(self._matching(filters), metadata_field)]
        if search_term:
            values = [value for value in values if search_term.lower() in str(value).lower()]
        values.sort(key=lambda value: (type(value).__name__, value))
        return values[from_:] if size is None else values[from_ : from_ + size], len(values)

    # on an event loop, each of these works in a thread

    async def count_documents_async(self) -> int:
        """As :meth:`count_documents`."""
        return await asyncio.to_thread(self.count_documents)

    async def filter_documents_async(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """As :meth:`filter_documents`."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """As :meth:`write_documents`."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """As :meth:`delete_documents`."""
        await asyncio.to_thread(self.delete_documents, document_ids)

    async def delete_all_documents_async(self) -> None:
        """As :meth:`delete_all_documents`."""
        await asyncio.to_thread(self.delete_all_documents)

    async def delete_by_filter_async(self, filters: dict[str, Any]) -> int:
        """As :meth:`delete_by_filter`."""
        return await asyncio.to_thread(self.delete_by_filter, filters)

    async def update_by_filter_async(self, filters: dict[str, Any], meta: dict[str, Any]) -> int:
        """As :meth:`update_by_filter`."""
        return await asyncio.to_thread(self.update_by_filter, filters, meta)

    async def count_documents_by_filter_async(self, filters: dict[str, Any]) -> int:
        """As :meth:`count_documents_by_filter`."""
        return await asyncio.to_thread(self.count_documents_by_filter, filters)

    async def count_unique_metadata_by_filter_async(
        self, filters: dict[str, Any], metadata_fields: list[str]
    ) -> dict[str, int]:
        """As :meth:`count_unique_metadata_by_filter`."""
        return await asyncio.to_thread(self.count_unique_metadata_by_filter, filters, metadata_fields)

    async def get_metadata_fields_info_async(self) -> dict[str, dict[str, str]]:
        """As :meth:`get_metadata_fields_info`."""
        return await asyncio.to_thread(self.get_metadata_fields_info)

    async def get_metadata_field_min_max_async(self, metadata_field: str) -> dict[str, Any]:
        """As :meth:`get_metadata_field_min_max`."""
        return await asyncio.to_thread(self.get_metadata_field_min_max, metadata_field)

    async def get_metadata_field_unique_values_async(
        self,
        metadata_field: str,
        search_term: str | None = None,
        from_: int = 0,
        size: int | None = 10,
        filters: dict[str, Any] | None = None,
    ) -> tuple[list[Any], int]:
        """As :meth:`get_metadata_field_unique_values`."""
        return await asyncio.to_thread(
            self.get_metadata_field_unique_values, metadata_field, search_term, from_, size, filters
        )

    def _matching(self, filters: dict[str, Any] | None) -> list[IndexedItem]:
        return self.index.items(query_filter=to_qdrant(filters))

    def _new(self, documents: Sequence[Document], policy: DuplicatePolicy) -> list[Document]:
        """Documents whose ids are not there yet, each once."""
        first: dict[str, Document] = {}
        for document in documents:
            first.setdefault(document.id, document)
        known = {str(item.id) for item in self.index.items(list(first))}
        if policy != DuplicatePolicy.SKIP and (known or len(first) < len(documents)):
            twice = known or {key for key, count in Counter(one.id for one in documents).items() if count > 1}
            raise DuplicateDocumentError(f"{len(twice)} documents are there already, such as {min(twice)!r}")
        return [document for key, document in first.items() if key not in known]

    def _add(
        self,
        documents: Sequence[Document],
        more: Mapping[str, Any] | None = None,
        labels: Sequence[str | None] | None = None,
    ) -> None:
        payloads = [{**document.meta, **(more or {})} for document in documents]
        if self.label_key is not None:
            labels = [payload.get(self.label_key) for payload in payloads]
        for document in documents:
            if document.content is None:
                raise ValueError(f"the document {document.id!r} has no content to embed")
        self.index.add(
            [document.content or "" for document in documents],
            ids=[document.id for document in documents],
            labels=labels,
            payloads=payloads,
            show_progress=False,
        )


_KINDS = {bool: "boolean", int: "integer", float: "float", list: "list", dict: "object"}


def _counted(items: Iterable[IndexedItem], field: str) -> Counter[tuple[str, Any]]:
    """Values of a field by their type and themselves: 1, 1.0, True and "1" are different."""
    key = key_of(field)
    found = (item.payload.get(key) for item in items)
    return Counter((type(value).__name__, value) for value in found if value is not None)
