"""``serve``: serve the page and the JSON API of an index."""

from __future__ import annotations

import ipaddress
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fg_search.cli.console import log
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    Collection,
    EncoderFolder,
    IndexLocation,
    LogAll,
    RetryFor,
    Tenant,
    TrustRemoteCode,
    open_index,
)
from fg_search.cli.running_server import RunningServer, announced
from fg_search.errors import FgSearchError, StorageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp


def serve(
    location: IndexLocation,
    host: Annotated[str, typer.Option(help="Address to listen on. Any but a loopback address needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="FG_SEARCH_TOKEN",
            help="Token that users must know; better set in the environment.",
            show_default=False,
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(help="Additional host name to accept, behind a proxy. Repeatable."),
    ] = None,
    reviewer: Annotated[str, typer.Option(help="Name of the reviewer, for the log of decisions.")] = "anonymous",
    log_queries: Annotated[
        bool, typer.Option("--log-queries", help="Log queries without a confident answer, for the Queries view.")
    ] = False,
    log_all: LogAll = False,
    adapt_every: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Log all queries, and every so many minutes let the calibration follow the share of those that have "
            "no answer.",
            show_default=False,
        ),
    ] = None,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Count searches for Prometheus, at /metrics (extra: metrics).")
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the pictures of items, which their payload names as image.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    encoder: EncoderFolder = None,
    trust_remote_code: TrustRemoteCode = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
) -> None:
    """Serve a web page to search and review an index, and a JSON API.

    While it runs, `fg-search search` on the same folder asks it, and answers in a moment.
    """
    check_installed()
    from fg_search.web.app import create_app
    from fg_search.web.following import following_traffic
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
    with (
        listen(host, port) as listener,
        open_index(
            location, encoder, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
        ) as opened,
    ):
        opened.log_queries("all" if log_all or adapt_every is not None else "uncertain" if log_queries else "none")
        # by name, by the address it stands for, which is what is announced, and by what a proxy calls it
        names = {*LOOPBACK_HOSTS, host, listener.getsockname()[0], *(allowed_host or ())}
        app = create_app(
            opened,
            tenant=tenant,
            token=token,
            reviewer=reviewer,
            allowed_hosts=names if is_here or allowed_host else None,
            metrics=metrics,
            images=images,
        )
        _ = opened.encoder  # load it now: if it is missing, fail before the first search
        log.print(f"{address(listener)}  Ctrl-C stops.", markup=False, soft_wrap=True)
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")  # such as wrong tokens, with their time
        with announced(location, RunningServer(_address_here(listener), collection, tenant, token)):
            if adapt_every is None:
                run_app(app, listener)
                return
            with following_traffic(opened, adapt_every * 60):
                run_app(app, listener)


def check_installed() -> None:
    """Make sure that the extra ``web`` is installed.

    Raises:
        FgSearchError: If it is not.
    """
    try:
        import uvicorn  # noqa: F401

        import fg_search.web.app  # noqa: F401
    except ModuleNotFoundError as error:
        raise FgSearchError(f"the page needs {error.name}; pip install 'fg-search[web]'") from None


def run_app(app: ASGIApp, listener: socket.socket) -> None:
    """Serve requests until Ctrl-C, which is then raised as ``KeyboardInterrupt``."""
    from fg_search.web.server import server

    server(app).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """Open a listening socket, so that a taken port is reported before a model is loaded.

    Raises:
        StorageError: If the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise StorageError(f"cannot listen on {host}, port {port}: {error.strerror}; choose another --port") from error


def _address_here(listener: socket.socket) -> str:
    """URL of a listening socket for this machine, if it listens on all addresses."""
    return address(listener).replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(listener: socket.socket) -> str:
    """URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
