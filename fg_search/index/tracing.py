"""Spans of OpenTelemetry for the steps of a search, in programs that have set it up."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def span(name: str, **attributes: int | float | str | bool) -> AbstractContextManager[Any]:
    """A span around a step; nothing, in a program that does not use OpenTelemetry.

    Args:
        name: Name of the step, such as ``"encode"``.
        attributes: What to tell of it.
    """
    api = sys.modules.get("opentelemetry.trace")  # whoever sets up its SDK has imported it
    if api is None:
        return nullcontext()
    known = {f"fg_search.{key}": value for key, value in attributes.items()}
    tracer = api.get_tracer("fg_search")
    return tracer.start_as_current_span(f"fg_search.{name}", attributes=known)  # type: ignore[no-any-return]
