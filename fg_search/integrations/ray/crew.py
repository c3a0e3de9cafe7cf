"""Jobs on all points of a collection, done slice by slice by the workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fg_search.engine.blocking import drive
from fg_search.index.crew import Done, Job
from fg_search.index.working import work
from fg_search.integrations.ray.encoders import SharedEncoder
from fg_search.integrations.ray.pool import Pool
from fg_search.integrations.ray.slices import in_slice
from fg_search.integrations.ray.target import Target

if TYPE_CHECKING:
    from fg_search.model.encoder import FeatureGroupEncoder

_POINTS_PER_SLICE = 20_000
_FEWEST, _MOST = 8, 4096  # slices


class RayCrew:
    """Does jobs with a pool of workers.

    Args:
        target: The index.
        encoder: Encoder that the points are to be of.
        pool: Workers.
        points: Number of points, about.
        sliced: Whether the engine knows slices. Otherwise one worker does it all.
    """

    def __init__(self, target: Target, encoder: SharedEncoder, pool: Pool, *, points: int, sliced: bool) -> None:
        self._target = target
        self._encoder = encoder
        self._pool = pool
        self._total = min(_MOST, max(_FEWEST, points // _POINTS_PER_SLICE)) if sliced else 1

    def run(self, job: Job) -> Iterator[Done]:
        """As :meth:`fg_search.index.crew.Crew.run`."""
        slices = ((index,) for index in range(self._total))
        for done in self._pool.each(_do, self._encoder, slices, self._target, job, self._total):
            yield done or Done()


def _do(encoder: FeatureGroupEncoder, index: int, target: Target, job: Job, total: int) -> Done:
    with target.engine() as engine:
        return drive(work(engine, job, encoder, in_slice(total, index)))
