"""``serve``: the page and the JSON API of an index."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from fg_search.cli.console import log
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    Collection,
    EncoderFolder,
    IndexLocation,
    Tenant,
    open_index,
)
from fg_search.errors import FgSearchError, StorageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_MOST_AT_ONCE = 64  # requests; more than a page of one index needs, fewer than would starve the encoder


def serve(
    location: IndexLocation,
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="FG_SEARCH_TOKEN", help="What one must know; better from the environment.", show_default=False
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name that requests may be for, behind a proxy; may be given several times."),
    ] = None,
    reviewer: Annotated[str, typer.Option(help="Who decides, for the log of decisions.")] = "anonymous",
    log_queries: Annotated[
        bool, typer.Option("--log-queries", help="Keep questions without a sure answer, for the view Queries.")
    ] = False,
    encoder: EncoderFolder = None,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    tenant: Tenant = None,
) -> None:
    """Serve a page to search and review an index, and a JSON API."""
    check_installed()
    from fg_search.web.app import create_app
    from fg_search.web.security import LOOPBACK_HOSTS
    from fg_search.web.tokens import MIN_TOKEN, checked_token

    is_here = _is_loopback(host)
    if token is None and not is_here:
        raise typer.BadParameter(
            f"{host} can be reached by others: give a token of at least {MIN_TOKEN} characters in FG_SEARCH_TOKEN, or "
            "listen on 127.0.0.1",
            param_hint="--host",
        )
    if token is not None:
        try:
            checked_token(token)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--token") from None
    names = {*LOOPBACK_HOSTS, host, *(allowed_host or ())} if is_here or allowed_host else None
    with listen(host, port) as listener, open_index(location, encoder, collection, api_key) as opened:
        opened.log_queries("uncertain" if log_queries else "none")
        app = create_app(opened, tenant=tenant, token=token, reviewer=reviewer, allowed_hosts=names)
        _ = opened.encoder  # found out now, not at the first search, if it is gone
        log.print(f"{address(listener)}  Ctrl-C stops.", markup=False, soft_wrap=True)
        run_app(app, listener)


def check_installed() -> None:
    """Make sure of what the page needs.

    Raises:
        FgSearchError: If the extra ``web`` is not installed.
    """
    try:
        import uvicorn  # noqa: F401

        import fg_search.web.app  # noqa: F401
    except ModuleNotFoundError as error:
        raise FgSearchError(f"the page needs {error.name}; pip install 'fg-search[web]'") from None


def run_app(app: ASGIApp, listener: socket.socket) -> None:
    """Answer requests until Ctrl-C, which is then raised as ``KeyboardInterrupt``."""
    import uvicorn

    settings = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=True,  # from this machine, or FORWARDED_ALLOW_IPS: behind TLS cookies are to be secure
        limit_concurrency=_MOST_AT_ONCE,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(settings).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens already: a port that is taken is found out before a model is loaded.

    Raises:
        StorageError: If the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise StorageError(f"cannot listen on {host}, port {port}: {error.strerror}; choose another --port") from error


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(listener: socket.socket) -> str:
    """Of a listening socket, for a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
