"""Several nodes of one cluster: requests go to one of them, and to the next one when that does not answer.

A request that never left is sent to the next node at once, whatever it does. One whose answer was lost may have been
carried out: its error is raised, as with a single node, and whoever makes the call again reaches the next node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx

_CONNECT = 3.0  # seconds after which the next node is tried; a machine that is gone does not even refuse
_ANOTHER_MAY = (502, 503, 504)
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout)


class Nodes:
    """Addresses of nodes.

    Args:
        urls: Their URLs, which differ in scheme, host and port alone.

    Attributes:
        asked: URL of the node that is asked now.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = [*urls]
        self.asked = self._urls[0]

    def each(self, request: httpx.Request) -> Iterator[str]:
        """Address a request to one node after the other, beginning with the one that is asked now."""
        timeouts = request.extensions.get("timeout", {})
        request.extensions = {**request.extensions, "timeout": {**timeouts, "connect": _CONNECT}}
        first = self._urls.index(self.asked)
        for url in [*self._urls[first:], *self._urls[:first]]:
            node = httpx.URL(url)
            request.url = request.url.copy_with(scheme=node.scheme, host=node.host, port=node.port)
            request.headers["Host"] = node.netloc.decode("ascii")
            yield url

    @contextmanager
    def trying(self, url: str) -> Iterator[None]:
        """Ask the next node from now on if the one at ``url`` cannot be reached, or gives no answer."""
        try:
            yield
        except httpx.TransportError:
            self.leave(url)
            raise

    def answered(self, url: str, response: httpx.Response) -> httpx.Response:
        """Ask the next node from now on if this answer of the one at ``url`` says that another one may do more."""
        if response.status_code in _ANOTHER_MAY:
            self.leave(url)
        return response

    def leave(self, url: str) -> None:
        """Ask the next node from now on, unless somebody has left this one already."""
        if self.asked == url:
            self.asked = self._urls[(self._urls.index(url) + 1) % len(self._urls)]


class NodesTransport(httpx.BaseTransport):
    """Sends requests to nodes."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._transport = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first node that can be reached."""
        unreachable: httpx.TransportError | None = None
        for url in self._nodes.each(request):
            try:
                with self._nodes.trying(url):
                    return self._nodes.answered(url, self._transport.handle_request(request))
            except _NEVER_LEFT as error:
                unreachable = error
        assert unreachable is not None  # noqa: S101  there is at least one node
        raise unreachable

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


class AsyncNodesTransport(httpx.AsyncBaseTransport):
    """Sends requests to nodes, as coroutines."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._transport = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first node that can be reached."""
        unreachable: httpx.TransportError | None = None
        for url in self._nodes.each(request):
            try:
                with self._nodes.trying(url):
                    return self._nodes.answered(url, await self._transport.handle_async_request(request))
            except _NEVER_LEFT as error:
                unreachable = error
        assert unreachable is not None  # noqa: S101  there is at least one node
        raise unreachable

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()
