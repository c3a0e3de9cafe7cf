"""Security middleware: checks on every request and headers on every response.

Each class is an ASGI middleware that is independent of the views behind it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fg_search.web.guesses import Guesses, TooManyGuessesError
from fg_search.web.tokens import SESSION_COOKIE, Sessions

MAX_BODY = 64 * 1024
MAX_UPLOAD = 8 * 1024 * 1024
MOST_UPLOADS = 4  # longer than MAX_BODY, at once
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
LOGIN_PATH = "/login"
STATIC_PATH = "/static"
API_PATH = "/api"
ALIVE_PATH, READY_PATH = "/healthz", "/readyz"
METRICS_PATH = "/metrics"

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_SOON = {"Retry-After": "1"}
_READING = ("GET", "HEAD", "OPTIONS")


class SecureHeaders:
    """Adds security headers: no foreign scripts, resources or frames, and no caching of pages."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers["Cache-Control"] = "no-cache" if scope["path"].startswith(STATIC_PATH) else "no-store"
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class KnownHosts:
    """Refuses requests for unknown host names: a site whose name points here could read the page (DNS rebinding)."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self.app = app
        self.hosts = None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http" and self.hosts is not None and not is_probe(scope["path"]):
            host = host_name(Headers(scope=scope).get("host", ""))
            if host not in self.hosts:
                problem = "this name is not served here; start the server with --allowed-host and the name"
                stranger = refusal(scope, 421, problem)
                await stranger(scope, receive, send)
                return
        await self.app(scope, receive, send)


class BoundedBody:
    """Reads the whole body of a request first, and refuses one that is too long.

    Args:
        app: The application behind.
        most: Bytes of a body.
        uploads: Paths that take more, :data:`MAX_UPLOAD`; of these, a few at once.
    """

    def __init__(self, app: ASGIApp, most: int = MAX_BODY, uploads: Collection[str] = ()) -> None:
        self.app, self.most, self.uploads = app, most, uploads
        self._long = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = MAX_UPLOAD if scope["path"] in self.uploads else self.most
        body = bytearray()
        is_long, more = False, True
        try:
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    return  # the client has disconnected
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > self.most and not is_long:
                    is_long = True
                    self._long += 1
                if len(body) > most:
                    too_long = refusal(scope, 413, f"more than {most:,} bytes")
                    await too_long(scope, receive, send)
                    return
                if is_long and self._long > MOST_UPLOADS:
                    busy = refusal(scope, 503, "too many files are coming in; try again in a moment", _SOON)
                    await busy(scope, receive, send)
                    return
            whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

            async def replay() -> Message:
                return whole.pop() if whole else await receive()

            await self.app(scope, replay, send)
        finally:
            self._long -= is_long


class SameSite:
    """Refuses writing requests from other sites, as far as browsers report their origin.

    Forms carry a CSRF token in addition. JSON bodies are safe: a browser sends no such request to another site without
    asking that site first.

    Args:
        app: The application behind.
        reading: Paths of the API that take no body, whatever the method: they answer 405 to a POST.
    """

    def __init__(self, app: ASGIApp, reading: Collection[str] = ()) -> None:
        self.app, self.reading = app, reading

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        answer: ASGIApp = self.app
        if scope["type"] == "http" and scope["method"] not in _READING:
            headers = Headers(scope=scope)
            if is_foreign(headers):
                answer = refusal(scope, 403, "a request from another site")
            elif self._takes_json(scope) and not _is_json(headers):
                answer = refusal(scope, 415, "the API takes application/json")
        await answer(scope, receive, send)

    def _takes_json(self, scope: Scope) -> bool:
        return _is_api(scope) and scope["method"] == "POST" and scope["path"] not in self.reading


class TokenNeeded:
    """Requires the token: as ``Authorization: Bearer``, or by a browser session that has logged in."""

    def __init__(self, app: ASGIApp, guesses: Guesses, sessions: Sessions) -> None:
        self.app, self.guesses, self.sessions = app, guesses, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        answer: ASGIApp = self.app
        if scope["type"] == "http" and not is_open(scope["path"]):
            try:
                if not await self._knows(Request(scope)):
                    answer = self._refuse(scope)
            except TooManyGuessesError as error:
                answer = refusal(scope, 429, str(error), {"Retry-After": str(error.seconds)})
        await answer(scope, receive, send)

    async def _knows(self, request: Request) -> bool:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            given = given.strip()
            return given != "" and await self.guesses.is_right(given, request.scope)
        return self.sessions.stands(request.cookies.get(SESSION_COOKIE))

    def _refuse(self, scope: Scope) -> Response:
        if _is_for_programs(scope):
            return refusal(scope, 401, "a token is needed: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})
        if scope["method"] not in _READING:
            return RedirectResponse(LOGIN_PATH, 303)
        query = scope["query_string"].decode("latin-1")
        wanted = scope["path"] + (f"?{query}" if query else "")
        return RedirectResponse(f"{LOGIN_PATH}?next={quote(wanted, safe='')}", 303)


def host_name(host: str) -> str:
    """Host name or address of a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def refusal(scope: Scope, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response that says why a request is refused: JSON for programs, a line of text for people."""
    if _is_api(scope):
        return JSONResponse({"error": message}, status, headers)
    return PlainTextResponse(f"{message}\n", status, headers)


def is_foreign(headers: Headers) -> bool:
    """Whether a request comes from another site, as far as browsers report it."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = headers.get("origin", "null")  # our no-referrer policy makes browsers send "null"
    if origin == "null":
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:  # such as http://[:: which no browser sends
        return True


def is_open(path: str) -> bool:
    """Whether a path is served to everybody: the login and what it is drawn with, and probes."""
    return path == LOGIN_PATH or path.startswith(f"{STATIC_PATH}/") or is_probe(path)


def is_probe(path: str) -> bool:
    """Whether a path tells nothing but whether the server works; it is asked for by address, not by name."""
    return path in (ALIVE_PATH, READY_PATH)


def _is_json(headers: Headers) -> bool:
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _is_for_programs(scope: Scope) -> bool:
    """Whether a program asks, which can do nothing with the page where people log in."""
    return _is_api(scope) or scope["path"] == METRICS_PATH or "authorization" in Headers(scope=scope)


def _is_api(scope: Scope) -> bool:
    path: str = scope["path"]
    return path == API_PATH or path.startswith(f"{API_PATH}/")
