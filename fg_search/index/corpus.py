"""Corpus: all items of an index in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.engine.paging import scroll_pages
from fg_search.index.ingestion import ITEMS_PER_WRITE
from fg_search.index.set_aside import is_doubtful
from fg_search.index.state import IndexState
from fg_search.layout.keys import BASE_VECTOR, PAYLOAD_KEY
from fg_search.layout.points import id_of, is_ours, payload_of, vectors_of


@dataclass(frozen=True)
class Corpus:
    """The n items of an index.

    Attributes:
        point_ids: Engine's ids.
        ids: User's ids.
        texts: Texts that were encoded.
        labels: Current labels, ``None`` where unknown.
        payloads: User's own payloads.
        doubtful: Positions of the items that are not to be learned from.
        base: ``(n, d)`` float32 base embeddings, ``None`` if the index has none.
    """

    point_ids: list[int | str]
    ids: list[int | str]
    texts: list[str]
    labels: list[str | None]
    payloads: list[dict[str, Any]]
    doubtful: list[int]
    base: npt.NDArray[np.float32] | None


async def read_corpus(
    state: IndexState, progress: Callable[[int], object], *, least_doubtful: float | None = None
) -> Corpus:
    """Read all items with their base embeddings, which must fit into memory.

    Args:
        state: The index. The items of all tenants are read if none was chosen.
        progress: Called with the number of items read since its last call.
        least_doubtful: Undecided items whose label is wrong with at least this probability are doubtful. By default no
            item is.
    """
    names = [BASE_VECTOR] if state.metadata.has_base else False
    corpus = Corpus([], [], [], [], [], [], None)
    vectors: list[npt.NDArray[np.float32]] = []
    async for records in scroll_pages(
        state.engine,
        state.points,
        page_size=ITEMS_PER_WRITE,
        scroll_filter=state.scope_of_all(),
        with_vectors=names,
    ):
        records = [record for record in records if is_ours(record)]
        for record in records:
            payload = dict(payload_of(record))
            features = payload.pop(PAYLOAD_KEY)
            if least_doubtful is not None and is_doubtful(features, least_doubtful):
                corpus.doubtful.append(len(corpus.ids))
            corpus.point_ids.append(id_of(record))
            corpus.ids.append(features["id"])
            corpus.texts.append(features["text"])
            corpus.labels.append(features.get("label"))
            corpus.payloads.append(payload)
        if names and records:
            vectors.append(np.array([vectors_of(record)[BASE_VECTOR] for record in records], dtype=np.float32))
        progress(len(records))
    return replace(corpus, base=np.concatenate(vectors) if vectors else None)
