"""A new head for an index, fitted on its current items, corrections included."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qdrant_client import models

from fg_search.index.corpus import read_corpus
from fg_search.index.scores import check_labels_scored
from fg_search.index.state import IndexState
from fg_search.validation import check_fraction

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder


async def refit(
    state: IndexState,
    folder: str | os.PathLike[str],
    *,
    set_aside: float | None,
    seed: int,
    batch_size: int | None,
    progress: Callable[[int], object],
    part: models.Condition | None = None,
) -> FeatureGroupEncoder:
    """Fit and save a new encoder with the base model and the sizes of the current one.

    Args:
        state: The index.
        folder: Folder of the new encoder, other than that of the current one.
        set_aside: Leave out undecided items whose label is wrong with at least this probability. ``None`` leaves out
            none.
        seed: Random seed.
        batch_size: Number of texts the base model encodes at once.
        progress: Called with the number of items read since its last call.
        part: Condition on the items that the head learns from. By default it learns from all of them.

    Raises:
        FileExistsError: If the folder holds something other than a saved encoder.
        NotScoredError: If items are to be set aside and labels were not scored yet.
        ValueError: If the head learned from pairs or clusters, which the index does not hold, no label is left, the
            folder is that of the current encoder, or this is a view of one tenant.
    """
    from fg_search.model.saved_encoder import check_target  # imports torch

    if state.chosen_tenant is not None:
        raise ValueError("a head is fitted on the items of all tenants; call refit on the index itself")
    if set_aside is not None:
        check_fraction(set_aside, name="set_aside")
    check_target(Path(folder))
    _check_not_in_use(state, folder)
    known = state.encoder
    if known.supervision not in ("labels", "attributes"):
        raise ValueError(
            f"the head of {state.name} learned from {known.supervision}, which corrected labels do not change; "
            "fit one on labels with encoder.fit(texts, labels=…) and call index.migrate"
        )
    if set_aside is not None:
        await check_labels_scored(state)
    corpus = await read_corpus(state, progress, least_doubtful=set_aside, part=part)
    out = set(corpus.doubtful)
    kept = [i for i in range(len(corpus.ids)) if i not in out]

    def work() -> FeatureGroupEncoder:
        encoder = known.refitted(
            [corpus.texts[i] for i in kept],
            [corpus.labels[i] for i in kept],
            {name: [corpus.payloads[i].get(name) for i in kept] for name in known.attributes},
            vectors=None if corpus.base is None else corpus.base[kept],
            seed=seed,
            batch_size=batch_size,
        )
        encoder.save(folder)
        return encoder

    encoder: FeatureGroupEncoder = await state.engine.work(work)
    return encoder


def _check_not_in_use(state: IndexState, folder: str | os.PathLike[str]) -> None:
    """Refuse the folder of the current encoder, which the index needs until it has moved to the new one."""
    target = Path(folder).resolve()
    in_use = state.metadata.encoder
    if in_use is not None and Path(in_use).resolve() == target:
        raise ValueError(
            f"{os.fspath(folder)!r} is the folder of the encoder that {state.name} uses until it has moved to the new "
            "one; choose another folder"
        )
