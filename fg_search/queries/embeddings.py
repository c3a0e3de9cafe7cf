"""Base embeddings of logged queries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from fg_search.index.state import IndexState
from fg_search.queries.entries import LoggedQuery
from fg_search.queries.log import read_embeddings, write_embeddings


async def base_embeddings(
    state: IndexState, queries: Sequence[LoggedQuery], batch_size: int | None
) -> npt.NDArray[np.float32]:
    """``(n, d)`` base embeddings of queries. Those of another base model are encoded anew, once."""
    ids = [query.id for query in queries]
    known = await read_embeddings(state, ids)
    stale = [i for i, row in enumerate(known) if row is None]
    if stale:
        texts = [queries[i].text for i in stale]
        encoded = await state.engine.work(partial(state.encode, texts, batch_size, "query"))
        for i, row in zip(stale, encoded.base, strict=True):
            known[i] = row
        await write_embeddings(state, [ids[i] for i in stale], encoded.base)
    return np.array(known, dtype=np.float32).reshape(len(known), state.metadata.dimension)
