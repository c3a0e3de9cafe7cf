"""What a server answered instead of a result: over HTTP and gRPC alike, and in words that say what to do."""

from __future__ import annotations

import json
import re
import shlex
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import grpc
import httpx
from pydantic import ValidationError
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from fg_search.edge.engine_errors import ShardClosedError
from fg_search.errors import ServerError

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT = 400, 401, 403, 404, 409
TOO_LARGE, TOO_MANY, NOT_IMPLEMENTED, FULL = 413, 429, 501, 507
_BUSY = (408, 425, TOO_MANY, 500, 502, 503, 504)
_STATUS_OF_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: BAD_REQUEST,
    grpc.StatusCode.UNAUTHENTICATED: UNAUTHORIZED,
    grpc.StatusCode.PERMISSION_DENIED: FORBIDDEN,
    grpc.StatusCode.NOT_FOUND: NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: CONFLICT,
    grpc.StatusCode.FAILED_PRECONDITION: 412,
    grpc.StatusCode.OUT_OF_RANGE: BAD_REQUEST,
    grpc.StatusCode.RESOURCE_EXHAUSTED: TOO_MANY,
    grpc.StatusCode.UNIMPLEMENTED: NOT_IMPLEMENTED,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.ABORTED: 503,
    grpc.StatusCode.UNAVAILABLE: None,
    grpc.StatusCode.CANCELLED: None,
}
_FULL_MARK = "qdrant-insufficient-storage"  # tells a full server from a rate limit, which have one code in gRPC
_FULL = re.compile(r"no space left|disk is full|not enough (?:disk )?space|insufficient storage", re.IGNORECASE)
_TOO_LARGE = re.compile(r"larger than (?:allowed|max)|message length too large", re.IGNORECASE)
_LARGEST = re.compile(r"limit(?: is)?: (\d+) bytes")
_OVER_BUDGET = "split your request"  # of a rate limit whose bucket can never hold as much
_STRICT = re.compile(r"\. Help: ")
_STRICT_NUMBER = re.compile(r'Limit exceeded \d+ > (\d+) for "([^"]+)"')
_CONDITIONS = re.compile(r"Filter condition limit reached \((\d+) > (\d+)\)")
_UNINDEXED = re.compile(r'(?:Index required but not|Index of type "\w+") found for "(.+?)"(?: of one|\. Help)')
_FEW_COPIES = re.compile(
    r"not have enough active replicas|read operations failed|ordering via leader peer|no leader could be selected"
)
_NO_MAJORITY = re.compile(r"consensus operation|through consensus|Raft consensus")
_MOST_HITS = "limit"  # what strict mode calls the number of hits
_MOST_TEXT = 300  # characters of a server's message


@dataclass(frozen=True)
class Answer:
    """What came instead of a result.

    Attributes:
        status: HTTP status, that of a gRPC code if that is what came, ``None`` if nothing came.
        message: Message in one line.
        retry_after: Seconds after which the server wants to be asked again, if it says so.
        may_pass: Whether the same request may succeed later.
        was_sent: Whether the server may have carried out the request all the same.
        is_foreign: Whether the answer is none of Qdrant's.
        largest: Largest request that the server takes, in bytes, if it says so.
    """

    status: int | None
    message: str
    retry_after: float | None = None
    may_pass: bool = False
    was_sent: bool = True
    is_foreign: bool = False
    largest: int | None = None

    @property
    def is_strict(self) -> bool:
        """Whether the strict mode of a collection forbids the request."""
        return self.status == BAD_REQUEST and _STRICT.search(self.message) is not None

    @property
    def unindexed(self) -> str | None:
        """Payload field that strict mode wants to have an index."""
        found = _UNINDEXED.search(self.message) if self.is_strict else None
        return None if found is None else found.group(1)

    @property
    def most_hits(self) -> int | None:
        """Number of hits that strict mode allows, if there were to be more."""
        found = _STRICT_NUMBER.search(self.message) if self.is_strict else None
        return int(found.group(1)) if found is not None and found.group(2) == _MOST_HITS else None

    @property
    def most_items(self) -> int | None:
        """Number of points or queries that strict mode allows in one request, if there were more."""
        found = _STRICT_NUMBER.search(self.message) if self.is_strict else None
        return int(found.group(1)) if found is not None and found.group(2).endswith((" limit", " size")) else None

    @property
    def conditions(self) -> tuple[int, int] | None:
        """Number of conditions in a filter, and how many strict mode allows, if there were more."""
        found = _CONDITIONS.search(self.message) if self.is_strict else None
        return None if found is None else (int(found.group(1)), int(found.group(2)))

    @property
    def lacks_copies(self) -> bool:
        """Whether too few copies of a shard are there for a read or a write that wants more of them."""
        return _FEW_COPIES.search(self.message) is not None

    @property
    def lacks_majority(self) -> bool:
        """Whether the nodes of a cluster could not agree on a change of collections or aliases."""
        return _NO_MAJORITY.search(self.message) is not None

    @property
    def is_too_large(self) -> bool:
        """Whether the server would take the same in several requests."""
        over_budget = self.status == TOO_MANY and not self.may_pass
        return self.status == TOO_LARGE or over_budget or self.most_items is not None


def answer_of(error: BaseException) -> Answer | None:
    """Understand an error of a client. ``None`` if it did not come of asking a server."""
    if isinstance(error, UnexpectedResponse):
        return _of_response(error)
    if isinstance(error, ResourceExhaustedResponse):
        return Answer(TOO_MANY, _line(error.message), float(error.retry_after_s), may_pass=True, was_sent=False)
    if isinstance(error, ResponseHandlingException):
        return _of_exchange(error.source)
    if isinstance(error, grpc.RpcError):
        return _of_rpc(error)
    if isinstance(error, QdrantException):  # of a date where the client expects seconds
        _, _, said = str(error).partition("valid integer: ")
        return Answer(TOO_MANY, "too many requests", _seconds(said), may_pass=True, was_sent=False)
    if isinstance(error, json.JSONDecodeError):
        return Answer(200, "the answer is not JSON", is_foreign=True)
    if isinstance(error, httpx.HTTPError):
        return _of_exchange(error)
    return None


def status_of(error: BaseException) -> int | None:
    """HTTP status of a server's answer that led to an error."""
    if isinstance(error, ServerError):
        return error.status
    answer = answer_of(error)
    return None if answer is None else answer.status


def is_not_found(error: BaseException) -> bool:
    """Whether an error says that there is no such collection, alias or snapshot, whatever the engine."""
    if isinstance(error, ShardClosedError):  # deleted while it was used
        return True
    if isinstance(error, ValueError):  # of the engines that run in this process
        return "not found" in str(error) or "does not exist" in str(error)
    return status_of(error) == NOT_FOUND


def explained(answer: Answer, url: str, call: str, api_key: str | None, waited: float = 0) -> ServerError:
    """The error to raise for an answer, in one line with cause and remedy.

    Args:
        answer: What came instead of a result.
        url: Address of the server.
        call: Name of what was called.
        api_key: API key that was sent. The error does not tell it, even if the server does.
        waited: Seconds for which the server was asked again.
    """
    words = _words(answer, url, call, has_key=api_key is not None)
    if answer.may_pass:
        end = "" if words.endswith("?") else "."
        asked = f" It was asked for {waited:.0f} s." if waited >= 1 else ""
        words += f"{end}{asked} What was acknowledged before is kept, so run it again when the server answers"
    return ServerError(words.replace(api_key, "…") if api_key else words, status=answer.status)


def _words(answer: Answer, url: str, call: str, *, has_key: bool) -> str:
    status, message = answer.status, answer.message
    if answer.is_foreign:
        return (
            f"what answers at {url} is no Qdrant server ({message}); check the address: Qdrant listens on port 6333 "
            "for http and on 6334 for grpc"
        )
    if status is None:
        return f"no Qdrant server answers at {url}: {message}; is it running, and is the address right?"
    return f"the server at {url} refused the request {call} ({status}: {message}){_remedy(answer, has_key)}"


def _remedy(answer: Answer, has_key: bool) -> str:
    """What to do about a refusal, as the end of a sentence."""
    if answer.status == UNAUTHORIZED:
        wanted = "it does not know the API key" if has_key else "it wants an API key"
        return f": {wanted}; set QDRANT_API_KEY, or give api_key=…"
    if answer.status == FORBIDDEN:
        return ": the API key may not do this; use one that may write, not one that may only read"
    if answer.status == FULL:
        return ": it has no room left; make some there, then run it again: what was acknowledged before is kept"
    if answer.status == TOO_LARGE:
        return ": a single item is larger than it takes at once; raise its limit, or shorten the item"
    if answer.unindexed is not None:
        field = shlex.quote(answer.unindexed)
        return (
            ": strict mode filters and groups by indexed fields alone; make it one: "
            f"`fg-search filterable {field}`, or index.make_filterable([{answer.unindexed!r}])"
        )
    if answer.lacks_majority:
        return (
            ": the nodes of the cluster did not agree, most likely since half of them or more are away, as "
            "`fg-search check` tells. What was asked for may still take place when they are back; run it again then"
        )
    if answer.is_strict:
        return ": the strict mode of the collection forbids it; change that, or ask for less"
    if answer.status == TOO_MANY and not answer.may_pass:
        return ": a rate limit of the collection is too low for it; raise it"
    if answer.status == NOT_IMPLEMENTED:
        return ": it may be too old; update it"
    return ""


def _of_response(error: UnexpectedResponse) -> Answer:
    status = error.status_code or 0
    headers: Mapping[str, str] = {} if error.headers is None else error.headers
    message, is_qdrant = _message_of(error.content)
    message = message or error.reason_phrase or "no message"
    if 300 <= status < 400:
        return Answer(status, f"it redirects to {headers.get('location', 'another address')}", is_foreign=True)
    if _FULL.search(message) and status >= 500:
        status = FULL
    if status in (BAD_REQUEST, TOO_LARGE) and (_TOO_LARGE.search(message) or status == TOO_LARGE):
        return Answer(TOO_LARGE, message, largest=_largest(message))
    never = status == TOO_MANY and _OVER_BUDGET in message
    return Answer(
        status,
        message,
        _seconds(headers.get("retry-after")),
        may_pass=status in _BUSY and not never and not _NO_MAJORITY.search(message),
        was_sent=status != TOO_MANY,
        is_foreign=status in (NOT_FOUND, 405) and not is_qdrant,
    )


def _message_of(content: bytes) -> tuple[str, bool]:
    """Message in an answer, and whether it has the form of Qdrant's."""
    text = content.decode(errors="replace")
    try:
        return _line(str(json.loads(text)["status"]["error"])), True
    except (ValueError, LookupError, TypeError):
        pass
    is_html = text.lstrip()[:1] == "<"
    return ("the answer is a web page" if is_html else _line(text)), False


def _of_exchange(source: BaseException) -> Answer:
    """Answer for an exchange over HTTP that failed."""
    if isinstance(source, (json.JSONDecodeError, ValidationError)):
        return Answer(200, "the answer is of another kind", is_foreign=True)
    if not isinstance(source, httpx.TransportError):
        return Answer(None, _line(f"the request cannot be sent: {type(source).__name__}"), was_sent=False)
    chain = [*_causes(source)]
    if any(isinstance(cause, ssl.SSLError) for cause in chain):
        return Answer(None, f"no secure connection: {_line(str(source))}", was_sent=False)
    if isinstance(source, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        # its message quotes what was to be sent, such as a key with a line break
        return Answer(None, "the request cannot be sent: the address or the API key is not valid", was_sent=False)
    if any(isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME for cause in chain):
        return Answer(None, "there is no host of this name", was_sent=False)
    never_left = isinstance(source, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    what = "it took too long" if isinstance(source, httpx.TimeoutException) else _line(str(source))
    return Answer(None, what or type(source).__name__, may_pass=True, was_sent=not never_left)


def _of_rpc(error: grpc.RpcError) -> Answer:
    call: Any = error  # the calls that gRPC raises have these methods, its base class does not
    code, message = call.code(), _line(call.details() or "")
    said = {str(key).lower(): value for key, value in call.trailing_metadata() or ()}
    status = _STATUS_OF_CODE.get(code, 500)
    if "http1.x server" in message:
        return Answer(None, message, is_foreign=True, was_sent=False)
    if _FULL_MARK in said or (_FULL.search(message) and status in (None, 500, TOO_MANY)):
        return Answer(FULL, message)
    if _TOO_LARGE.search(message):
        return Answer(TOO_LARGE, message, largest=_largest(message))
    never = status == TOO_MANY and _OVER_BUDGET in message
    may_pass = status is None or (status in _BUSY and not never and not _NO_MAJORITY.search(message))
    retry_after = _seconds(said.get("retry-after"))
    return Answer(status, message, retry_after, may_pass=may_pass, was_sent=status != TOO_MANY)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _seconds(retry_after: object) -> float | None:
    """Seconds that the header asks for. It holds their number, or a date."""
    text = str(retry_after or "").strip()
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, IndexError):
        return None


def _largest(message: str) -> int | None:
    found = _LARGEST.search(message)
    return None if found is None else int(found.group(1))


def _line(text: str) -> str:
    """One line that a terminal can show, whatever a server sent."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= _MOST_TEXT else f"{line[:_MOST_TEXT]}…"
