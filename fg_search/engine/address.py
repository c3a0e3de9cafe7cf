"""Addresses of servers, as users write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

_SCHEMES = ("http", "https", "grpc")
GRPC_PORT = 6334
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def is_url(location: str) -> bool:
    """Whether ``location`` is the URL of a server rather than a folder.

    Raises:
        ValueError: If it is a URL, but of something else than a server of Qdrant.
    """
    match = _SCHEME.match(location)
    if match is None:
        return False
    if match.group(1).lower() not in _SCHEMES:
        raise ValueError(f"{match.group(0)} is not how a Qdrant server is reached; write http://, https:// or grpc://")
    return True


@dataclass(frozen=True)
class Address:
    """Address of a server.

    Attributes:
        rest: URL for requests over HTTP.
        shown: URL for messages, without a user and a password.
        grpc_port: Port for gRPC, if that is what the client shall use.
    """

    rest: str
    shown: str
    grpc_port: int | None = None

    @classmethod
    def of(cls, url: str, *, prefer_grpc: bool = False) -> Address:
        """Take a URL apart.

        Args:
            url: URL with the scheme ``http``, ``https`` or ``grpc``. The port of the latter is that of gRPC.
            prefer_grpc: Use gRPC on its usual port for any scheme.

        Raises:
            ValueError: If it names no host, or its port is no number.
        """
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ValueError(f"the URL of a server is not valid: {error}") from None
        if not host:
            raise ValueError(f"the URL {url!r} names no host; write it like http://localhost:6333")
        scheme = parts.scheme.lower()
        host = f"[{host}]" if ":" in host else host
        shown = SplitResult(scheme, host if port is None else f"{host}:{port}", parts.path, "", "").geturl()
        if scheme == "grpc":
            return cls(f"http://{host}", shown, port or GRPC_PORT)
        return cls(shown, shown, GRPC_PORT if prefer_grpc else None)

    @property
    def is_open(self) -> bool:
        """Whether others on the way can read what is sent. To this machine itself nobody listens in."""
        host = urlsplit(self.rest).hostname or ""
        return self.rest.startswith("http://") and not _is_this_machine(host)

    @property
    def host(self) -> str:
        """Name of the host."""
        return urlsplit(self.rest).hostname or ""


def addresses_of(location: str, *, prefer_grpc: bool = False) -> list[Address]:
    """Addresses in a location: one URL, or those of several nodes of one cluster, with commas between them.

    Raises:
        ValueError: If one of them is no URL, or they cannot be used together.
    """
    urls = [url.strip() for url in location.split(",")]
    for url in urls:
        if not is_url(url):
            raise ValueError(f"{url!r} is no URL; write each node like http://localhost:6333, with commas in between")
    addresses = [Address.of(url, prefer_grpc=prefer_grpc) for url in dict.fromkeys(urls)]
    if len(addresses) > 1 and any(address.grpc_port is not None for address in addresses):
        raise ValueError("several nodes are asked over http alone; give http or https URLs, or one for grpc")
    if len({urlsplit(address.rest).path.rstrip("/") for address in addresses}) > 1:
        raise ValueError("the URLs of nodes of one cluster have the same path")
    return addresses


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
