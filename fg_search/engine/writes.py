"""Writes that a server takes in parts: several operations, cut between the points that they write."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TypeAlias

from qdrant_client import models

from fg_search.engine.limits import size_of
from fg_search.engine.numbers import as_sent

Unit: TypeAlias = tuple[models.UpdateOperation, models.PointStruct | None]  # an operation, and one of its points


def units_of(operations: Sequence[models.UpdateOperation]) -> list[Unit]:
    """Smallest parts of operations: the points that they write, or what they do as a whole."""
    units: list[Unit] = []
    for operation in operations:
        if isinstance(operation, models.UpsertOperation) and isinstance(operation.upsert, models.PointsList):
            units += [(operation, point) for point in operation.upsert.points]
        else:
            units.append((operation, None))
    return units


def operations_of(units: Sequence[Unit]) -> list[models.UpdateOperation]:
    """Operations that consist of such parts, in order."""
    operations: list[models.UpdateOperation] = []
    for _, parts in groupby(units, key=lambda unit: id(unit[0])):
        of_one = list(parts)
        operation, first = of_one[0]
        if first is not None and isinstance(operation, models.UpsertOperation):
            points = [point for _, point in of_one]
            operation = operation.model_copy(update={"upsert": operation.upsert.model_copy(update={"points": points})})
        operations.append(operation)
    return operations


def sizes_of_units(units: Sequence[Unit]) -> list[int]:
    """Bytes that each part takes in a request, at most."""
    return [len(operation.model_dump_json()) if point is None else size_of(point) for operation, point in units]


def sizes_of_points(points: Sequence[models.PointStruct]) -> list[int]:
    """Bytes that each point takes in a request, at most."""
    return [size_of(point) for point in points]


def operations_as_sent(operations: Sequence[models.UpdateOperation], *, as_text: bool) -> list[models.UpdateOperation]:
    """The operations with points as :func:`~fg_search.engine.numbers.as_sent` makes them."""
    units = units_of(operations)
    points = iter(as_sent([point for _, point in units if point is not None], as_text=as_text))
    return operations_of([(operation, None if point is None else next(points)) for operation, point in units])
