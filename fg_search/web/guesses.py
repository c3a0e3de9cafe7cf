"""Wrong tokens: each one is logged, and makes the next attempt from the same address wait longer."""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from dataclasses import dataclass

import anyio
from starlette.types import Scope

from fg_search.web.tokens import same

FIRST_PAUSE = 0.25  # seconds after the first wrong token; each further one doubles it
LONGEST_PAUSE = 30.0
FORGOTTEN_AFTER = 900.0  # seconds without a wrong token
_PATIENCE = 1.0  # seconds that a request is kept waiting; beyond, it is refused
_MOST_ADDRESSES = 10_000
_LOG = logging.getLogger("fg_search.web")


class TooManyGuessesError(Exception):
    """The token was not looked at, since too many wrong ones came from the address.

    Attributes:
        seconds: When to try again.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = max(1, math.ceil(seconds))

    def __str__(self) -> str:
        return f"too many wrong tokens; try again in {self.seconds} s"


@dataclass
class _Address:
    wrong: int = 0
    latest: float = 0.0
    free: float = 0.0  # when the next attempt is looked at


class Guesses:
    """Checks tokens, and slows down whoever sends wrong ones.

    Attempts from one address are looked at one after the other, so that it does not help to send many at once. The
    right token ends the pauses. It is for one event loop.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._addresses: dict[str, _Address] = {}

    async def is_right(self, given: str, scope: Scope) -> bool:
        """Whether a token is the right one, after a pause if wrong ones came before it.

        Raises:
            TooManyGuessesError: If the pause is longer than a request should wait.
        """
        name = address_of(scope)
        known = self._addresses.get(name)
        now = time.monotonic()
        if known is not None and now - known.latest > FORGOTTEN_AFTER:
            known = None
        if known is not None and known.free > now:
            wait = known.free - now
            if wait > _PATIENCE:
                raise TooManyGuessesError(wait)
            known.free += _pause(known.wrong)  # the turn of the next attempt
            await anyio.sleep(wait)
        if same(self._token, given):
            self._addresses.pop(name, None)
            return True
        self._note_wrong(name)
        return False

    def _note_wrong(self, name: str) -> None:
        now = time.monotonic()
        known = self._addresses.pop(name, None)  # and enter it again, as the latest
        if known is None or now - known.latest > FORGOTTEN_AFTER:
            known = _Address()
        known.wrong += 1
        known.latest = now
        known.free = max(known.free, now + _pause(known.wrong))
        self._addresses[name] = known
        while len(self._addresses) > _MOST_ADDRESSES:
            del self._addresses[next(iter(self._addresses))]
        _LOG.warning("wrong token from %s, number %d", name, known.wrong)


def address_of(scope: Scope) -> str:
    """Address of the client; of IPv6 the network, since one machine has as many addresses there as it likes."""
    client = scope.get("client")
    if client is None:
        return "unknown"
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return str(client[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        if not address.is_loopback:
            return str(ipaddress.ip_network((address.packed, 64), strict=False))
    return str(address)


def _pause(wrong: int) -> float:
    return min(FIRST_PAUSE * 2.0 ** min(wrong - 1, 30), LONGEST_PAUSE)
