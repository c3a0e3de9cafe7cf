"""Signed values: proof that a form came from this page, and that a browser has logged in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field

SESSION_COOKIE = "fg_session"
CSRF_COOKIE = "fg_csrf"
MIN_TOKEN = 16  # characters: what nobody guesses
SESSION_SECONDS = 12 * 3600
_CSRF_LENGTHS = range(16, 65)


@dataclass(frozen=True)
class Signer:
    """Signs with a secret that lives as long as the process.

    Attributes:
        secret: Forms and sessions of an earlier process are not accepted.
    """

    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def new_csrf_cookie(self) -> str:
        """A random value for a cookie."""
        return secrets.token_urlsafe(24)

    def csrf_token(self, cookie: str) -> str:
        """What a form must send beside that cookie; another site can neither read nor compute it."""
        return self._sign("csrf", cookie)

    def csrf_fits(self, cookie: str | None, token: str | None) -> bool:
        """Whether a form's token belongs to the cookie that came with it."""
        return is_csrf_cookie(cookie) and token is not None and same(self.csrf_token(cookie or ""), token)

    def new_session(self) -> str:
        """Value of the cookie of a browser that has logged in."""
        expires = str(int(time.time()) + SESSION_SECONDS)
        return f"{expires}.{self._sign('session', expires)}"

    def session_stands(self, cookie: str | None) -> bool:
        """Whether it is ours and not too old."""
        expires, _, signature = (cookie or "").partition(".")
        if not same(self._sign("session", expires), signature):
            return False
        return int(expires) > time.time()

    def _sign(self, purpose: str, value: str) -> str:
        return hmac.new(self.secret, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()


def checked_token(token: str) -> str:
    """A token that is fit to be sent in a header and hard to guess; white space around it is not part of it.

    Raises:
        ValueError: If it is not.
    """
    stripped = token.strip()
    if len(stripped) < MIN_TOKEN or not (stripped.isascii() and stripped.isprintable()):
        raise ValueError(f"a token takes at least {MIN_TOKEN} characters, all of them printable ASCII")
    return stripped


def is_csrf_cookie(cookie: str | None) -> bool:
    """Whether a cookie can be one of :meth:`Signer.new_csrf_cookie`."""
    return cookie is not None and len(cookie) in _CSRF_LENGTHS


def same(expected: str, given: str) -> bool:
    """Compare in a time that does not tell how much of it fits."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass"))
