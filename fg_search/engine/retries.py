"""Retries of calls to a busy server: which errors are transient, how long to wait, when to give up."""

from __future__ import annotations

from typing import Any, NoReturn, TypedDict

from tenacity import RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.retry import retry_base
from tenacity.stop import stop_base
from tenacity.wait import wait_base, wait_random_exponential

from fg_search.errors import StorageError

_ATTEMPTS = 6
_MAX_PAUSE = 120.0  # seconds, whatever a server asks for
_BUSY = (429, 500, 502, 503, 504)


class Patience(TypedDict):
    """Arguments of tenacity's ``Retrying``."""

    retry: retry_base
    wait: Any
    stop: stop_base
    retry_error_callback: Any


def patience(call: str) -> Patience:
    """Exponential back-off with jitter, or the pause that the server asks for.

    Args:
        call: Name of the call for the error message.
    """

    def give_up(state: RetryCallState) -> NoReturn:
        error = None if state.outcome is None else state.outcome.exception()
        raise StorageError(
            f"{call} failed {state.attempt_number} times, the last time with: {error}; "
            "what was acknowledged before is kept, so run it again when the server answers"
        ) from error

    return {
        "retry": retry_if_exception(is_transient),
        "wait": lambda state: pause(state),
        "stop": stop_after_attempt(_ATTEMPTS),
        "retry_error_callback": give_up,
    }


_backoff: wait_base = wait_random_exponential(multiplier=0.5, max=20)


def pause(state: RetryCallState) -> float:
    """Seconds until the next attempt."""
    error = None if state.outcome is None else state.outcome.exception()
    asked = getattr(error, "retry_after_s", None)
    return _backoff(state) if asked is None else min(float(asked), _MAX_PAUSE)


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later: after a lost connection, a timeout, or on a busy server."""
    from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
    from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

    if isinstance(error, UnexpectedResponse):
        return error.status_code in _BUSY
    if isinstance(error, ResponseHandlingException):
        import httpx

        return isinstance(error.source, httpx.TransportError)
    return isinstance(error, ResourceExhaustedResponse)
