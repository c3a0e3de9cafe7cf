"""Familiarity of items, which those of an encoder that does not know its examples lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fg_search.errors import NotScoredError
from fg_search.index.state import IndexState
from fg_search.layout.conditions import is_present
from fg_search.layout.keys import FAMILIARITY_KEY, PAYLOAD_KEY


async def check_familiarity(state: IndexState) -> None:
    """Check that some item has a familiarity.

    Raises:
        NotScoredError: If none has.
    """
    if not await state.engine.count(state.collection, state.scope(is_present(FAMILIARITY_KEY))):
        raise _lacking(state)


def familiarity_of(state: IndexState, payload: Mapping[str, Any]) -> float:
    """Familiarity of an item by its payload.

    Raises:
        NotScoredError: If it has none.
    """
    found: float | None = payload[PAYLOAD_KEY].get("familiarity")
    if found is None:
        raise _lacking(state)
    return found


def _lacking(state: IndexState) -> NotScoredError:
    return NotScoredError(
        f"items of {state.name} have no familiarity: the encoder does not know its examples; call "
        "encoder.learn_familiarity(texts) and index.migrate(encoder), or fit the encoder again"
    )
