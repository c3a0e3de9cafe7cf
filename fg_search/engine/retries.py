"""Asking again: how long, how often, and what is said while a server does not answer."""

from __future__ import annotations

import logging
import math
import os
import random
import time

from fg_search.engine.answers import Answer, answer_of, explained
from fg_search.errors import ServerError

RETRY_FOR = 60.0  # seconds
_VARIABLE = "FG_SEARCH_RETRY_FOR"
_FIRST_PAUSE, _LONGEST_PAUSE, _SHORTEST_PAUSE = 0.25, 5.0, 0.1  # seconds
_SILENT = 1.0  # seconds of waiting that nobody needs to hear of

_LOG = logging.getLogger("fg_search.engine")


def chosen_time(retry_for: float | None) -> float:
    """Seconds for which a server is asked again: those that were given, or of the environment, or the usual ones.

    Raises:
        ValueError: If they are no number of seconds.
    """
    given: object = os.environ.get(_VARIABLE) or RETRY_FOR if retry_for is None else retry_for
    name = "retry_for" if retry_for is not None else _VARIABLE
    try:
        seconds = float(given)  # type: ignore[arg-type]  # what is no number is refused here
    except (TypeError, ValueError):
        seconds = math.nan
    if not seconds >= 0 or isinstance(given, bool):
        raise ValueError(f"{name} must be a number of seconds of at least 0, got {given!r}")
    return seconds


class Asked:
    """A server that is asked again when it is busy or out of reach.

    Args:
        url: Its address, for messages.
        retry_for: Seconds after the first failure of a call in which it is made again.
        api_key: API key that requests carry.
    """

    def __init__(self, url: str, retry_for: float, api_key: str | None = None) -> None:
        self.url = url
        self.retry_for = retry_for
        self._api_key = api_key
        self._silent_until = -math.inf  # several calls may wait at once; one of them says so

    def error(self, answer: Answer, call: str, waited: float = 0) -> ServerError:
        """The error to raise for an answer that does not pass, after so many seconds."""
        return explained(answer, self.url, call, self._api_key, waited)

    def say(self, answer: Answer, until: float) -> None:
        """Say once that the server is waited for."""
        now = time.monotonic()
        if now < self._silent_until:
            return
        self._silent_until = now + until
        what = "does not answer" if answer.status is None else f"is busy ({answer.message})"
        clock = time.strftime("%H:%M:%S", time.localtime(time.time() + until))
        _LOG.warning("the server at %s %s, trying until %s", self.url, what, clock)


class Attempts:
    """Attempts to make one call.

    Args:
        asked: The server.
        call: Name of the call.

    Attributes:
        may_be_done: Whether the server may have carried out the call although it seemed to fail.
    """

    def __init__(self, asked: Asked, call: str) -> None:
        self._asked = asked
        self._call = call
        self._number = 0
        self._since = 0.0
        self.may_be_done = False

    def pause_after(self, error: Exception) -> float:
        """Seconds to wait after a failed attempt, before the next one.

        Raises:
            ServerError: If the time is over, or another attempt would fail in the same way.
            Exception: The error itself, if it did not come of asking a server.
        """
        answer = answer_of(error)
        if answer is None:
            raise error
        now = time.monotonic()
        if self._number == 0:
            self._since = now
        self._number += 1
        left = self._since + self._asked.retry_for - now
        pause = self._pause(answer)
        # what is asked for is no use if it is asked too early; otherwise the last attempt is made when time is up
        if not answer.may_pass or left <= 0 or (answer.retry_after is not None and pause > left):
            raise self._asked.error(answer, self._call, now - self._since) from error
        self.may_be_done |= answer.was_sent
        if pause > _SILENT or now - self._since > _SILENT:
            self._asked.say(answer, left)
        return min(pause, max(left, _SHORTEST_PAUSE))

    def _pause(self, answer: Answer) -> float:
        if answer.retry_after is not None:
            return max(answer.retry_after, _SHORTEST_PAUSE)
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._number - 1, 10))
        return max(_SHORTEST_PAUSE, random.uniform(longest / 2, longest))  # noqa: S311  no secret depends on it


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later: after a lost connection, a timeout, or on a busy server."""
    answer = answer_of(error)
    return answer is not None and answer.may_pass
