"""Fitting a new head on what an index holds by now, corrections included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fg_search.index.adding import ITEMS_PER_WRITE
from fg_search.index.state import IndexState
from fg_search.storage.keys import BASE_VECTOR, PAYLOAD_KEY
from fg_search.storage.operations import Operation, Work, call

if TYPE_CHECKING:
    from fg_search.encoder import FeatureGroupEncoder


@dataclass(frozen=True)
class Corpus:
    """All items of an index.

    Attributes:
        point_ids: The engine's ids.
        ids: Their owners'.
        texts: What was encoded.
        labels: As they are now, ``None`` where unknown.
        payloads: The owners' own.
        base: ``(n, d)`` float32 base embeddings, if the index has them.
    """

    point_ids: list[int | str]
    ids: list[int | str]
    texts: list[str]
    labels: list[str | None]
    payloads: list[dict[str, Any]]
    base: npt.NDArray[np.float32] | None


def read_corpus(state: IndexState, progress: Callable[[int], object]) -> Operation[Corpus]:
    """Read all items, of all tenants if none was chosen, with their base embeddings; they have to fit into memory."""
    names = [BASE_VECTOR] if state.metadata.has_base else False
    corpus = Corpus([], [], [], [], [], None)
    vectors: list[npt.NDArray[np.float32]] = []
    offset = None
    while True:
        records, offset = yield call(
            "scroll",
            state.collection,
            scroll_filter=state.scope_of_all(),
            limit=ITEMS_PER_WRITE,
            offset=offset,
            with_payload=True,
            with_vectors=names,
        )
        for record in records:
            payload = dict(record.payload)
            features = payload.pop(PAYLOAD_KEY)
            corpus.point_ids.append(record.id)
            corpus.ids.append(features["id"])
            corpus.texts.append(features["text"])
            corpus.labels.append(features.get("label"))
            corpus.payloads.append(payload)
        if names and records:
            vectors.append(np.array([record.vector[BASE_VECTOR] for record in records], dtype=np.float32))
        progress(len(records))
        if offset is None:
            base = np.concatenate(vectors) if vectors else None
            return Corpus(corpus.point_ids, corpus.ids, corpus.texts, corpus.labels, corpus.payloads, base)


def refit(
    state: IndexState, *, seed: int, batch_size: int, progress: Callable[[int], object]
) -> Operation[FeatureGroupEncoder]:
    """A new encoder, of the same base model and the same sizes, that learned from the items as they are now.

    Raises:
        ValueError: If the head learned from something that the index does not hold (pairs, clusters), or there is
            nothing to learn from any more.
    """
    known = state.encoder
    if known.supervision not in ("labels", "attributes"):
        raise ValueError(
            f"the head of {state.name} learned from {known.supervision}, which corrected labels do not change; "
            "fit one on labels with encoder.fit(texts, labels=…) and call index.migrate"
        )
    corpus = yield from read_corpus(state, progress)

    def work() -> FeatureGroupEncoder:
        return known.refitted(
            corpus.texts,
            corpus.labels,
            {name: [payload.get(name) for payload in corpus.payloads] for name in known.attributes},
            embeddings=corpus.base,
            seed=seed,
            batch_size=batch_size,
        )

    encoder: FeatureGroupEncoder = yield Work(work)
    return encoder
