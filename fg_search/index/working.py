"""A part of a job, as one of a crew does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qdrant_client import models

from fg_search.engine.port import Engine
from fg_search.index.adopted_engine import with_source
from fg_search.index.adoption.sync import SyncReport, fill, sync, write_vectors
from fg_search.index.crew import Done, Job
from fg_search.index.encoders import EncoderSlot
from fg_search.index.migration import copy_part
from fg_search.index.state import IndexState
from fg_search.model.progress import unwatched

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder


async def work(engine: Engine, job: Job, encoder: FeatureGroupEncoder, part: models.Condition | None) -> Done:
    """Do a part of a job.

    Args:
        engine: Engine of the collection.
        job: The job.
        encoder: Encoder that the points are to be of.
        part: Condition on the points of the part, ``None`` for all points.

    Raises:
        ModelMismatchError: If it is another encoder.
    """
    state = IndexState(engine, job.collection, job.points, job.metadata, EncoderSlot(encoder))
    state.check_encoder(encoder)
    if job.task == "copy":
        return await copy_part(state, job, part)
    state = with_source(state)
    if job.task == "vectors":
        await write_vectors(state, unwatched, part=part)
        return Done()
    if job.task == "fill":
        return _done(await fill(state, unwatched, part=part))
    return _done(await sync(state, unwatched, set_aside=job.set_aside, part=part))


def _done(report: SyncReport) -> Done:
    return Done(report.points, report.written, report.skipped)
