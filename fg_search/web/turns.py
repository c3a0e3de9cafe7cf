"""A queue for requests: so many are answered at once, the others wait for their turn."""

from __future__ import annotations

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fg_search.web.security import is_open, refusal

AT_ONCE = 32  # fewer than the 40 threads of the web framework, so that files and the login never wait for searches
MOST_WAITING = 1_000  # with 64 KiB each, they hold 64 MiB at most


class Turns:
    """Answers requests in the order they came, a limited number at once.

    It stands behind what reads the body and checks the token: whoever is slow, or not known, takes nobody's turn.
    """

    def __init__(self, app: ASGIApp, at_once: int = AT_ONCE, most_waiting: int = MOST_WAITING) -> None:
        self.app, self.most_waiting = app, most_waiting
        self.limiter = anyio.CapacityLimiter(at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http" or is_open(scope["path"]):
            await self.app(scope, receive, send)
            return
        if self.limiter.statistics().tasks_waiting >= self.most_waiting:
            busy = refusal(scope, 503, "too many requests are waiting; try again in a moment", {"Retry-After": "1"})
            await busy(scope, receive, send)
            return
        first: list[Message] = [await receive()]  # the whole body

        async def replay() -> Message:
            return first.pop() if first else await receive()

        borrower = object()
        try:
            if await self._turn(borrower, receive):
                await self.app(scope, replay, send)
        finally:
            if borrower in self.limiter.statistics().borrowers:
                self.limiter.release_on_behalf_of(borrower)

    async def _turn(self, borrower: object, receive: Receive) -> bool:
        """Wait for the turn. Returns false if the client has gone away meanwhile: nobody would read the answer."""
        try:
            self.limiter.acquire_on_behalf_of_nowait(borrower)
        except anyio.WouldBlock:
            pass
        else:
            return True
        has_turn = False
        async with anyio.create_task_group() as group:

            async def leave_with_client() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(leave_with_client)
            await self.limiter.acquire_on_behalf_of(borrower)
            has_turn = True
            group.cancel_scope.cancel()
        return has_turn
