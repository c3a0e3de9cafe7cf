"""The web server that runs the application."""

from __future__ import annotations

import uvicorn
from starlette.types import ASGIApp

from fg_search.web.connections import most_connections, protocol_with_room


def server(app: ASGIApp) -> uvicorn.Server:
    """A server whose ``run`` serves an application until it is interrupted.

    The application itself limits how many requests are answered at once; here a limit would count idle connections.
    """
    most = most_connections()
    settings = uvicorn.Config(
        app,
        http=protocol_with_room(most),
        ws="none",
        backlog=most,  # also the number of connections that asyncio accepts in one go
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=True,  # trusted from this machine or FORWARDED_ALLOW_IPS: behind TLS, cookies must be secure
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(settings)
