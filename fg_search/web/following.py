"""A calibration that follows the traffic while the page serves it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from fg_search.confidence_index import ConfidenceIndex
from fg_search.errors import FgSearchError

_LOG = logging.getLogger(__name__)


@contextmanager
def following_traffic(index: ConfidenceIndex, seconds: float) -> Iterator[None]:
    """Adapt the index to its log of queries every so many seconds, in a thread of its own, until the block ends."""
    stopped = Event()

    def follow() -> None:
        while not stopped.wait(seconds):
            adapt_once(index)

    thread = Thread(target=follow, name="fg-search-traffic", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def adapt_once(index: ConfidenceIndex) -> None:
    """Adapt the index to its log. If that cannot be done, or the promise no longer holds, the log says why."""
    try:
        learned = index.adapt(show_progress=False)
    except (FgSearchError, ValueError) as error:
        _LOG.warning("the calibration does not follow the traffic: %s", error)
    else:
        _LOG.info("%s", learned.share)
        if learned.shift is not None and not learned.shift.holds:
            _LOG.warning("%s", learned.shift)
