"""What an adoption needs: a collection that can be adopted, and an encoder that has learned from it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fg_search.engine.port import Engine
from fg_search.errors import EncoderNotFoundError
from fg_search.index.adoption.checks import Adoptable, adoptable, check_lengths
from fg_search.index.adoption.options import AdoptionOptions
from fg_search.index.adoption.planning import AdoptionPlan, plan
from fg_search.index.adoption.sample import read_sample
from fg_search.index.adoption.training import base_encoder, check_encoder, check_sample, fit_on, part_of
from fg_search.index.encoders import load_encoder

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

_PLANNED = 10_000  # points that a plan looks at
_PLANNED_WITH = 1000  # points from which a head is learned in order to plan


async def prepare(
    engine: Engine, collection: str, options: AdoptionOptions, progress: Callable[[int], object]
) -> tuple[Adoptable, FeatureGroupEncoder]:
    """Check a collection, and have an encoder learn from it. An adoption that was begun goes on with its encoder.

    Raises:
        Exception: What :meth:`ConfidenceIndex.adopt` raises.
    """
    target = await adoptable(engine, collection, options.source)
    await engine.check_writable(target.points)
    given = await engine.work(partial(_encoder_of, options))
    if target.metadata is not None:
        if given is not None and given.is_fitted:
            return target, given
        if target.metadata.encoder is None:
            raise EncoderNotFoundError(
                f"the adoption of {collection!r} was begun with an encoder that was never saved; pass it as encoder=…, "
                "or take the adoption back with `fg-search adopt … --undo`"
            )
        return target, await engine.work(partial(load_encoder, target.metadata.encoder))
    encoder = base_encoder(target) if given is None else given
    sample = await read_sample(
        engine, target, options.most, attributes=options.attributes, seed=options.seed, progress=progress
    )
    check_sample(sample, target, is_fitted=encoder.is_fitted)
    check_lengths(target, sample.vectors)
    await engine.work(partial(check_encoder, encoder, target, sample))
    if not encoder.is_fitted:
        await engine.work(partial(fit_on, encoder, sample, options.seed))
    if options.folder is not None and encoder.folder != Path(options.folder).resolve():
        await engine.work(partial(encoder.save, options.folder))
    return target, encoder


async def plan_adoption(engine: Engine, collection: str, options: AdoptionOptions) -> AdoptionPlan:
    """Say what an adoption would do and cost, and write nothing.

    Raises:
        Exception: What :meth:`ConfidenceIndex.adopt` raises before it writes.
    """
    target = await adoptable(engine, collection, options.source)
    given = await engine.work(partial(_loaded, options.encoder))
    encoder = base_encoder(target) if given is None else copy.copy(given)
    most = min(options.most, _PLANNED)
    sample = await read_sample(engine, target, most, attributes=options.attributes, seed=options.seed)
    check_sample(sample, target, is_fitted=encoder.is_fitted)
    check_lengths(target, sample.vectors)
    await engine.work(partial(check_encoder, encoder, target, sample))
    if not encoder.is_fitted:
        few = part_of(sample, _PLANNED_WITH, options.seed)
        await engine.work(partial(fit_on, encoder, few, options.seed))
    return await plan(engine, target, sample, encoder)


def _encoder_of(options: AdoptionOptions) -> FeatureGroupEncoder | None:
    """The encoder that was given, or the one that is in the folder already, as an interrupted call may have left it.

    Raises:
        FileExistsError: If the folder has another encoder than the one that was given, or something else.
    """
    from fg_search.model.saved_encoder import check_target, is_saved_encoder  # imports torch

    given = _loaded(options.encoder)
    if options.folder is None or not is_saved_encoder(check_target(options.folder)):
        return given
    if given is not None and given.folder == Path(options.folder).resolve():
        return given
    there = load_encoder(options.folder)
    if given is None:
        return there
    is_same = (
        given.has_fingerprint(there.fingerprint)
        if given.is_fitted
        else given.base_fingerprint == there.base_fingerprint
    )
    if is_same:
        there.embedder, there.cache_folder = given.embedder, given.cache_folder  # a folder may hold neither
        return there
    raise FileExistsError(
        f"{os.fspath(options.folder)!r} has another encoder already, which is not overwritten; choose another folder, "
        f"or pass that one: encoder={os.fspath(options.folder)!r}"
    )


def _loaded(encoder: FeatureGroupEncoder | str | os.PathLike[str] | None) -> FeatureGroupEncoder | None:
    return load_encoder(encoder) if isinstance(encoder, (str, os.PathLike)) else encoder
