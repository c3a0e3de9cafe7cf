"""Signed CSRF tokens, and login sessions that can be ended."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from threading import Lock

SESSION_COOKIE = "fg_session"
CSRF_COOKIE = "fg_csrf"
MIN_TOKEN = 16  # characters, so that it cannot be guessed
SESSION_SECONDS = 12 * 3600
_CSRF_LENGTHS = range(16, 65)


@dataclass(frozen=True)
class Signer:
    """Signs and checks CSRF tokens.

    Attributes:
        secret: Key for signing. It is drawn for each process, so that tokens of an earlier process are refused.
    """

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def new_csrf_cookie(self) -> str:
        """A random value for the CSRF cookie."""
        return secrets.token_urlsafe(24)

    def csrf_token(self, cookie: str) -> str:
        """The token that a form must send along with the cookie; other sites can neither read nor compute it."""
        return self._sign("csrf", cookie)

    def csrf_fits(self, cookie: str | None, token: str | None) -> bool:
        """Whether the token of a form matches its cookie."""
        return is_csrf_cookie(cookie) and token is not None and same(self.csrf_token(cookie or ""), token)

    def _sign(self, purpose: str, value: str) -> str:
        return hmac.new(self.secret, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()


class Sessions:
    """Logins of this process. A cookie stands for one login, and is worth nothing once that has ended."""

    def __init__(self) -> None:
        self._expiry: dict[bytes, float] = {}  # by the hash of the cookie, so that no lookup depends on its characters
        self._lock = Lock()

    def start(self) -> str:
        """Value of the session cookie for a browser that has logged in."""
        cookie = secrets.token_urlsafe(32)
        now = time.time()
        with self._lock:
            self._expiry = {key: expiry for key, expiry in self._expiry.items() if expiry > now}
            self._expiry[_hash(cookie)] = now + SESSION_SECONDS
        return cookie

    def stands(self, cookie: str | None) -> bool:
        """Whether a session cookie belongs to a login that has neither expired nor ended."""
        return cookie is not None and self._expiry.get(_hash(cookie), 0.0) > time.time()

    def end(self, cookie: str | None) -> None:
        """End the login that a cookie stands for."""
        if cookie is not None:
            with self._lock:
                self._expiry.pop(_hash(cookie), None)


def checked_token(token: str) -> str:
    """Return a token without surrounding white space, after checking its length and characters.

    Raises:
        ValueError: If it is too short, or cannot be sent in a header.
    """
    stripped = token.strip()
    if len(stripped) < MIN_TOKEN or not (stripped.isascii() and stripped.isprintable()):
        raise ValueError(f"a token takes at least {MIN_TOKEN} characters, all of them printable ASCII")
    return stripped


def is_csrf_cookie(cookie: str | None) -> bool:
    """Whether a cookie looks like one from :meth:`Signer.new_csrf_cookie`."""
    return cookie is not None and len(cookie) in _CSRF_LENGTHS


def _hash(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()


def same(expected: str, given: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
