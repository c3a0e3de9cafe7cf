"""Corpus: all items of an index in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from qdrant_client import models

from fg_search.engine.ordered import id_order
from fg_search.engine.paging import scanning
from fg_search.index.ingestion import ITEMS_PER_WRITE
from fg_search.index.set_aside import is_doubtful
from fg_search.index.state import IndexState
from fg_search.layout.keys import BASE_VECTOR, PAYLOAD_KEY
from fg_search.layout.points import id_of, is_ours, payload_of, vectors_of


@dataclass(frozen=True)
class Corpus:
    """The n items of an index, in the order of the engine's ids.

    Attributes:
        point_ids: Engine's ids.
        ids: User's ids.
        texts: Texts that were encoded.
        labels: Current labels, ``None`` where unknown.
        payloads: User's own payloads.
        doubtful: Positions of the items that are not to be learned from: their label is doubtful, or their base
            embedding is zeros alone, as others may write it.
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
    state: IndexState,
    progress: Callable[[int], object],
    *,
    least_doubtful: float | None = None,
    part: models.Condition | None = None,
) -> Corpus:
    """Read all items with their base embeddings, which must fit into memory.

    Args:
        state: The index. The items of all tenants are read if none was chosen.
        progress: Called with the number of items read since its last call.
        least_doubtful: Undecided items whose label is wrong with at least this probability are doubtful. By default
            none is for its label.
        part: Condition on the items. By default all are read.
    """
    names = [BASE_VECTOR] if state.metadata.has_base else False
    corpus = Corpus([], [], [], [], [], [], None)
    vectors: list[npt.NDArray[np.float32]] = []
    reading = scanning(
        state.engine,
        state.points,
        page_size=ITEMS_PER_WRITE,
        scroll_filter=state.scope_of_all(part),
        with_vectors=names,
    )
    async with reading as found:
        async for page in found:
            records = [record for record in page if is_ours(record)]
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
    base = np.concatenate(vectors) if vectors else None
    if base is not None:
        zeros = np.flatnonzero(~base.any(axis=1)).tolist()
        corpus = replace(corpus, base=base, doubtful=sorted({*corpus.doubtful, *zeros}))
    return _in_order(corpus)


def _in_order(corpus: Corpus) -> Corpus:
    """The items in the order of the engine's ids, so that what is learned from them is the same each time."""
    order = sorted(range(len(corpus.ids)), key=lambda row: id_order(corpus.point_ids[row]))
    if order == list(range(len(order))):
        return corpus
    rows = {row: place for place, row in enumerate(order)}
    return Corpus(
        point_ids=[corpus.point_ids[row] for row in order],
        ids=[corpus.ids[row] for row in order],
        texts=[corpus.texts[row] for row in order],
        labels=[corpus.labels[row] for row in order],
        payloads=[corpus.payloads[row] for row in order],
        doubtful=sorted(rows[row] for row in corpus.doubtful),
        base=None if corpus.base is None else corpus.base[order],
    )
