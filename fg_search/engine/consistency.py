"""Copies of a shard: how many must agree on what is read, and which of them puts writes into an order.

What one copy says is no ground for a decision: Qdrant rolls nothing back, so that a refused write stays on the copies
that carried it out, and a copy may lag behind. A copy that is *marked* as dead is no copy in doubt, for it is filled
anew from the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:  # loading it takes longer than all else that the command line loads to read its options
    from qdrant_client import models

Copies: TypeAlias = Literal["any", "active", "most"]
"""Copies that are asked: any one; all that are there; or most of all, which waits while too many of them are away."""

Ordering: TypeAlias = Literal["weak", "medium", "strong"]
Consistency: TypeAlias = Literal["majority", "quorum", "all"] | int

Options: TypeAlias = Sequence[Mapping[str, Any]]
"""Options of a request, the most demanding first. The next ones are tried where copies are missing."""

AS_THEY_ARE: Options = ({},)


def options_of_read(copies: Copies, number: int, chosen: Consistency | None) -> Options:
    """Options of a read.

    Args:
        copies: Copies to ask.
        number: Number of copies of each shard.
        chosen: What the user wants of every read, ``None`` for what is needed.
    """
    if chosen is None and (number < 2 or copies == "any"):
        return AS_THEY_ARE
    from qdrant_client import models

    if chosen is not None:
        return ({"consistency": models.ReadConsistencyType(chosen) if isinstance(chosen, str) else chosen},)
    if copies == "most":
        return ({"consistency": models.ReadConsistencyType.MAJORITY},)
    return ({"consistency": models.ReadConsistencyType.ALL}, *({"consistency": n} for n in range(number - 1, 0, -1)))


def options_of_write(copies: Copies, number: int, chosen: Ordering | None, *, is_conditional: bool) -> Options:
    """Options of a write.

    Args:
        copies: Copies that may put it into an order: always the same one, or with ``"active"`` another while that one
            is away.
        number: Number of copies of each shard.
        chosen: What the user wants of every write, ``None`` for what is needed.
        is_conditional: Whether what is written depends on what is there. Each copy looks for itself, so that writes
            have to come to all of them in one order.
    """
    if chosen is None and not (number > 1 and is_conditional):
        return AS_THEY_ARE
    from qdrant_client import models

    if number > 1 and is_conditional:
        strong = {"ordering": models.WriteOrdering.STRONG}
        return (strong, {"ordering": models.WriteOrdering.MEDIUM}) if copies == "active" else (strong,)
    return ({"ordering": models.WriteOrdering(chosen)},)


def is_conditional(operation: models.UpdateOperation) -> bool:
    """Whether an operation depends on what is there."""
    from qdrant_client import models

    if isinstance(operation, models.UpsertOperation):
        return operation.upsert.update_filter is not None or operation.upsert.update_mode is not None
    if isinstance(operation, models.SetPayloadOperation):
        return operation.set_payload.filter is not None
    if isinstance(operation, models.DeletePayloadOperation):
        return operation.delete_payload.filter is not None
    return isinstance(operation, models.DeleteOperation) and isinstance(operation.delete, models.FilterSelector)
