"""Why a formula failed. The engine only says that the operation was cancelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from qdrant_client import models
from qdrant_client.hybrid.formula import evaluate_expression, parse_defaults

from fg_search.edge.convert.queries import prefetches_of
from fg_search.edge.search.nested import as_request, joined

CANCELLED = "process cancelled by service"  # the engine's whole message
_MAX_FLOAT32 = float(np.finfo(np.float32).max)
Search = Callable[[models.QueryRequest], Sequence[models.ScoredPoint]]
_UNKNOWN = (
    "The formula could not be evaluated for a point: it produced a non-finite number, or has a variable without a "
    "number in the payload and/or in the formula defaults"
)


def has_formula(request: models.QueryRequest | models.Prefetch) -> bool:
    """Whether the query or one of its prefetches is a formula."""
    return isinstance(request.query, models.FormulaQuery) or any(map(has_formula, prefetches_of(request)))


def formula_error(requests: Sequence[models.QueryRequest], search: Search) -> ValueError:
    """Evaluate the formulas as qdrant-client's local mode does, until one fails, and return its error.

    Args:
        requests: The requests, one of which failed.
        search: Function that answers a request.
    """
    try:
        for request in requests:
            for query, prefetches in _formulas(request, None):
                _evaluate(query, [search(prefetch) for prefetch in prefetches])
    except (ArithmeticError, ValueError) as error:
        message = str(error)
        is_overflow = isinstance(error, ArithmeticError) or "domain error" in message
        return ValueError(f"The formula produced a non-finite number: {message}" if is_overflow else message)
    except Exception:  # noqa: S110  local mode could not evaluate it either
        pass
    return ValueError(_UNKNOWN)


def _formulas(
    request: models.QueryRequest | models.Prefetch, outer: models.Filter | None
) -> Iterator[tuple[models.FormulaQuery, list[models.QueryRequest]]]:
    """Yield each formula with its prefetches as requests, innermost first."""
    own = joined(outer, request.filter)
    prefetches = prefetches_of(request)
    for prefetch in prefetches:
        yield from _formulas(prefetch, own)
    if isinstance(request.query, models.FormulaQuery):
        yield (
            request.query,
            [as_request(prefetch, own, with_payload=True, with_vector=True) for prefetch in prefetches],
        )


def _evaluate(query: models.FormulaQuery, sources: Sequence[Sequence[models.ScoredPoint]]) -> None:
    scores = [{hit.id: hit.score for hit in source} for source in sources]
    defaults = parse_defaults(query.defaults or {})
    for hit in {hit.id: hit for source in sources for hit in source}.values():
        names = hit.vector if isinstance(hit.vector, dict) else {"": hit.vector} if hit.vector else {}
        has_vector = dict.fromkeys(names, True)
        score = evaluate_expression(query.formula, hit.id, scores, hit.payload or {}, has_vector, defaults)
        if not abs(score) <= _MAX_FLOAT32:
            raise OverflowError(f"{score} is not a finite 32-bit float")
