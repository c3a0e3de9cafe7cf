"""Workers: how many there are, and what each of them takes of a machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import ray
from typing_extensions import Self

from fg_search.integrations.ray.pool import Pool
from fg_search.validation import check_count

FEW_CPUS = 0.5
"""Share of a processor that what reads, counts and looks up asks Ray for."""


class Workers:
    """Actors that encode and write.

    Each call of :class:`RayIndexer` starts them and ends them, unless they are a context: in ``with Workers() as
    workers`` they stay, with the encoder that they have loaded.

    Args:
        count: Number of workers.
        cpus: Processors that each asks Ray for. From one on, its model uses as many threads. Leave some for reading.
        gpus: GPUs that each asks Ray for; several share one if it is a fraction.
        items: Number of items that a worker takes at once. It encodes them in batches of similar length, cut by their
            tokens to what suits its device, so this bounds memory and not the batches.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(self, count: int = 2, *, cpus: float = 0.5, gpus: float = 0.0, items: int = 4096) -> None:
        check_count(count, name="count")
        check_count(items, name="items")
        for name, value in (("cpus", cpus), ("gpus", gpus)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value!r}")
        self.count = count
        self.cpus = cpus
        self.gpus = gpus
        self.items = items
        self._pool: Pool | None = None

    def __repr__(self) -> str:
        return f"Workers({self.count}, cpus={self.cpus:g}, gpus={self.gpus:g}, items={self.items})"

    def __enter__(self) -> Self:
        if self._pool is None:
            self._check_room()
            self._pool = Pool(self.count, num_cpus=self.cpus, num_gpus=self.gpus)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the actors."""
        if self._pool is not None:
            self._pool.close()
        self._pool = None

    @contextmanager
    def running(self) -> Iterator[Pool]:
        """Context with the actors, which end with it unless they were there before."""
        is_new = self._pool is None
        with self if is_new else nullcontext():
            assert self._pool is not None  # noqa: S101  the context has seen to that
            yield self._pool

    def _check_room(self) -> None:
        """Check that all of them find room in the cluster, with something left to read with.

        Raises:
            ValueError: If they would wait for ever.
        """
        if not ray.is_initialized():
            ray.init()
        there: dict[str, Any] = ray.cluster_resources()
        for name, each, rest in (("CPU", self.cpus, 2 * FEW_CPUS), ("GPU", self.gpus, 0.0)):
            has, wanted = float(there.get(name, 0)), self.count * each + rest
            if each and wanted > has:
                reading = f", with {rest:g} to read with," if rest else ""
                raise ValueError(
                    f"{self.count} workers of {each:g} {name} each{reading} need {wanted:g}, and the Ray cluster has "
                    f"{has:g}; take fewer workers or a smaller share: Workers(count, {name.lower()}s=…)"
                )
