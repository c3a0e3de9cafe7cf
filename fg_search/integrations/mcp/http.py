"""Streamable HTTP for agents on this machine that know the token."""

from __future__ import annotations

import hmac
from typing import Any

from mcp.server import MCPServer
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/mcp"


class TokenNeeded:
    """Requires ``Authorization: Bearer`` with the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self._expected = app, f"bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        answer: ASGIApp = self.app
        if scope["type"] != "lifespan" and not self._knows(Headers(scope=scope)):
            answer = JSONResponse(
                {"error": "a token is needed: Authorization: Bearer …"}, 401, {"WWW-Authenticate": "Bearer"}
            )
        await answer(scope, receive, send)

    def _knows(self, headers: Headers) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        said = f"{kind.lower()} {given.strip()}".encode("utf-8", "surrogatepass")
        return hmac.compare_digest(said, self._expected)


def http_app(server: MCPServer[Any], token: str) -> ASGIApp:
    """The server as an application for a loopback address; other host names and origins are refused.

    Args:
        server: The server.
        token: What clients must know.
    """
    return TokenNeeded(server.streamable_http_app(streamable_http_path=PATH), token)
