"""``mcp``: let agents search an index, over the Model Context Protocol."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fg_search.cli.console import log
from fg_search.cli.options import (
    DEFAULT_COLLECTION,
    ApiKey,
    Collection,
    EncoderFolder,
    LogAll,
    RetryFor,
    Tenant,
    TrustRemoteCode,
    open_index,
    search_options,
)
from fg_search.cli.serve import address, listen, run_app
from fg_search.errors import FgSearchError

_HERE = "127.0.0.1"


def mcp(
    location: Annotated[
        str,
        typer.Argument(
            metavar="INDEX",
            envvar="FG_SEARCH_INDEX",
            help="Folder of the index, URL of a Qdrant server, or URLs of several nodes with commas in between.",
            show_default=False,
        ),
    ],
    target_precision: Annotated[
        float | None,
        typer.Option(
            help="Share of right answers to reach, 0 to 1, unless an agent asks for another. Needs a calibration.",
            show_default=False,
        ),
    ] = None,
    on_uncertain: Annotated[
        Literal["abstain", "clarify"],
        typer.Option(help="What an uncertain question gets: no hits, or labels that it may be about."),
    ] = "abstain",
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP on this machine, in place of standard input and output.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --http; 0 picks a free one.")] = 8001,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="FG_SEARCH_TOKEN",
            help="Token that agents must know over --http; better set in the environment. By default one is drawn.",
            show_default=False,
        ),
    ] = None,
    log_queries: Annotated[
        bool, typer.Option("--log-queries", help="Log questions without a confident answer.")
    ] = False,
    log_all: LogAll = False,
    encoder: EncoderFolder = None,
    trust_remote_code: TrustRemoteCode = False,
    collection: Collection = DEFAULT_COLLECTION,
    api_key: ApiKey = None,
    retry_for: RetryFor = None,
    tenant: Tenant = None,
) -> None:
    """Let agents search an index, over the Model Context Protocol.

    Its tools are search, describe_index and report_missing. An agent that starts the command talks to it over standard
    input and output.
    """
    _check_installed()
    search_options(target_precision=target_precision)
    known = _token(token) if http else ""
    with open_index(
        location, encoder, collection, api_key, retry_for=retry_for, trust_remote_code=trust_remote_code
    ) as opened:
        opened.log_queries("all" if log_all else "uncertain" if log_queries else "none")
        index = opened if tenant is None else opened.tenant(tenant)
        if http or encoder is not None or not _is_there(index.metadata.encoder):
            _ = index.encoder  # load it now: if it is missing, fail before the first search
        server = _server(index, target_precision, on_uncertain)
        if not http:
            server.run()
            return
        from fg_search.integrations.mcp.http import PATH, http_app

        with listen(_HERE, port) as listener:
            log.print(f"{address(listener).rstrip('/')}{PATH}  Ctrl-C stops.", markup=False, soft_wrap=True)
            if token is None:
                log.print(f"Authorization: Bearer {known}", markup=False, soft_wrap=True)
            run_app(http_app(server, known), listener)


def _server(index: Any, target_precision: float | None, on_uncertain: Literal["abstain", "clarify"]) -> Any:
    from fg_search.integrations.mcp import create_server

    return create_server(index, target_precision=target_precision, on_uncertain=on_uncertain)


def _is_there(folder: str | None) -> bool:
    """Whether there is an encoder to load at the first search: an agent that starts the command waits for it."""
    return folder is not None and Path(folder).is_dir()


def _check_installed() -> None:
    """Make sure that the extra ``mcp`` is installed.

    Raises:
        FgSearchError: If it is not.
    """
    try:
        import fg_search.integrations.mcp.http  # noqa: F401
    except ModuleNotFoundError as error:
        raise FgSearchError(f"agents need {error.name}; pip install 'fg-search[mcp]'") from None


def _token(given: str | None) -> str:
    """The token that agents must know.

    Raises:
        BadParameter: If it is too short, or cannot be sent in a header.
    """
    from fg_search.web.tokens import checked_token

    if given is None:
        return secrets.token_urlsafe(24)
    try:
        return checked_token(given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--token") from None
