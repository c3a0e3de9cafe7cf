"""Opening an index, or making a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fg_search.engine.answers import FORBIDDEN
from fg_search.engine.port import Engine
from fg_search.errors import IndexNotFoundError, ServerError
from fg_search.index.calibration import Calibration
from fg_search.index.collections import create_collection, find_collection, index_payload, switch_alias
from fg_search.index.encoders import EncoderSlot, metadata_of
from fg_search.index.state import IndexState
from fg_search.layout.keys import CALIBRATION_KEY
from fg_search.layout.schema import IndexMetadata, payload_indexes
from fg_search.layout.settings import IndexSettings

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder


async def open_index(
    engine: Engine, collection: str, encoder: FeatureGroupEncoder | None, settings: IndexSettings | None
) -> IndexState:
    """Open an index. Without one, make it if there is an encoder to fill it with.

    Raises:
        IndexNotFoundError: If there is no index and no encoder, or the collection was not made by fg_search.
        ModelMismatchError: If another encoder filled it.
        FormatVersionError: If this release cannot read it.
        ValueError: If it was made with other settings.
    """
    info = await find_collection(engine, collection)
    if info is None:
        if encoder is None:
            raise IndexNotFoundError(
                f"there is no index {collection!r} at {engine.location!r}; "
                "make one by giving an encoder: ConfidenceIndex(location, encoder) or "
                "`fg-search index … --encoder FOLDER`"
            )
        metadata = replace(metadata_of(encoder), settings=settings or IndexSettings())
        physical = await create_collection(engine, collection, metadata)
        await switch_alias(engine, collection, physical)
        return IndexState(engine, collection, metadata, EncoderSlot(encoder))
    metadata = IndexMetadata.of_collection(collection, info)
    calibration = Calibration.of_metadata((info.config.metadata or {}).get(CALIBRATION_KEY), metadata.fingerprint)
    state = IndexState(engine, collection, metadata, EncoderSlot(encoder), calibration)
    if encoder is not None:
        state.check_encoder(encoder)
    if settings is not None and settings != metadata.settings:
        raise ValueError(
            f"{state.name} was made with {metadata.settings}, not with {settings}; leave the settings out, or copy it "
            "into a new index with `fg-search copy`"
        )
    # whoever made the collection may have been interrupted before its payload indexes existed
    try:
        await index_payload(engine, collection, payload_indexes(metadata), known=info.payload_schema)
    except ServerError as error:
        if error.status != FORBIDDEN:
            raise  # whose API key may only read can search all the same
    return state
