"""Endpoints that embed texts over HTTP as OpenAI's ``/v1/embeddings`` does; most servers of models have one."""

from __future__ import annotations

import logging
import math
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from fg_search.errors import ServerError
from fg_search.model.embedders.digests import settings_digest
from fg_search.model.embedders.embedder import Embedded
from fg_search.validation import check_count

logger = logging.getLogger(__name__)

KEY_VARIABLE = "FG_SEARCH_EMBEDDER_KEY"

_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_FIRST_WAIT = 0.5  # seconds, doubled with each attempt
_LONGEST_WAIT = 30.0
_QUOTED = 200  # characters of an answer


class HttpEmbedder:
    """A model behind an endpoint that embeds texts as OpenAI's ``/v1/embeddings``.

    A server that is busy or fails (429, 5xx, no answer) is asked again, after the time that its ``Retry-After`` says or
    after twice the last pause. The key comes from the environment; no encoder, index or log has it.

    Args:
        url: Address of the API, such as ``"https://api.openai.com/v1"``; texts are sent to it.
        model: Name of the model.
        dimension: Dimension d of its embeddings. By default a text is sent to find out.
        truncate_dim: Number of numbers that the endpoint is to keep of each embedding (``dimensions`` in its API).
        query_prefix: What stands before each query.
        document_prefix: What stands before each document.
        batch_size: Number of texts in a request.
        timeout: Seconds to wait for an answer.
        retry_for: Seconds for which a server that is busy or out of reach is asked again.
        api_key_variable: Name of the environment's variable that holds the key. It is not saved with an encoder: a
            folder of somebody else must not choose what is sent to an address of its own.
        client: A client of httpx of yours, which stays yours to close.

    Raises:
        ValueError: If the address is none, or holds a password or a query.

    Example:
        >>> embedder = HttpEmbedder("https://api.openai.com/v1", "text-embedding-3-small")  # doctest: +SKIP
        >>> encoder = FeatureGroupEncoder(embedder, cache_folder="embeddings")  # doctest: +SKIP
    """

    kind = "http"

    def __init__(
        self,
        url: str,
        model: str,
        dimension: int | None = None,
        *,
        truncate_dim: int | None = None,
        query_prefix: str = "",
        document_prefix: str = "",
        batch_size: int = 128,
        timeout: float = 60.0,
        retry_for: float = 120.0,
        api_key_variable: str = KEY_VARIABLE,
        client: httpx.Client | None = None,
    ) -> None:
        self.url = _checked_url(url)
        self.model = model
        self.truncate_dim = None if truncate_dim is None else check_count(truncate_dim, name="truncate_dim")
        self.query_prefix, self.document_prefix = query_prefix, document_prefix
        self.batch_size = check_count(batch_size, name="batch_size")
        self.timeout, self.retry_for = timeout, retry_for
        self.api_key_variable = api_key_variable
        self._dimension = self.truncate_dim if dimension is None else check_count(dimension, name="dimension")
        self._client = client or httpx.Client()
        self._sleep: Callable[[float], None] = time.sleep

    def __repr__(self) -> str:
        return f"HttpEmbedder({self.url!r}, {self.model!r})"

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model

    @property
    def dimension(self) -> int:
        """Dimension of the embeddings; a text is sent to find out, once, if it was not given."""
        if self._dimension is None:
            self._dimension = len(self._ask(["dimension"])[0])
        return self._dimension

    @property
    def is_symmetric(self) -> bool:
        """Whether the same stands before queries and documents."""
        return self.query_prefix == self.document_prefix

    @property
    def fingerprint(self) -> str:
        """Of the model and its settings. The address is no part of it: a model may move."""
        return settings_digest(
            self.kind,
            model=self.model,
            dimension=self.dimension,
            query_prefix=self.query_prefix,
            document_prefix=self.document_prefix,
        )

    def settings(self) -> Mapping[str, Any]:
        """Arguments of the class, without what the environment says."""
        return {
            "url": self.url,
            "model": self.model,
            "dimension": self.dimension,
            "truncate_dim": self.truncate_dim,
            "query_prefix": self.query_prefix,
            "document_prefix": self.document_prefix,
            "batch_size": self.batch_size,
        }

    def embed_queries(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are searched for.

        Raises:
            ServerError: If the endpoint refuses, does not answer in time, or answers with something else than one
                vector for each text.
            ValueError: If the vectors have another dimension, or the key cannot be sent.
        """
        return self._embed(texts, self.query_prefix)

    def embed_documents(self, texts: Sequence[str]) -> Embedded:
        """Embeddings of texts that are found.

        Raises:
            ServerError: If the endpoint refuses, does not answer in time, or answers with something else than one
                vector for each text.
            ValueError: If the vectors have another dimension, or the key cannot be sent.
        """
        return self._embed(texts, self.document_prefix)

    def _embed(self, texts: Sequence[str], prefix: str) -> Embedded:
        found = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), self.batch_size):
            part = [prefix + text for text in texts[start : start + self.batch_size]]
            vectors = self._ask(part)
            if vectors.shape[1] != self.dimension:
                raise ValueError(
                    f"{self.url} gave vectors of dimension {vectors.shape[1]} for {self.model!r}, not "
                    f"{self.dimension}; is it the same model as before? Leave dimension out to take what it gives"
                )
            found[start : start + len(part)] = vectors
        return Embedded(found)

    def _ask(self, texts: list[str]) -> npt.NDArray[np.float32]:
        body: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": "float"}
        if self.truncate_dim is not None:
            body["dimensions"] = self.truncate_dim
        return _vectors(self._answer(body), len(texts), self.url)

    def _answer(self, body: Mapping[str, Any]) -> Any:
        """The endpoint's answer to a request, asked again while it is busy."""
        deadline, wait = time.monotonic() + self.retry_for, _FIRST_WAIT
        while True:
            problem: str
            status: int | None = None
            told: float | None = None
            try:
                response = self._client.post(
                    f"{self.url}/embeddings", json=body, headers=self._headers(), timeout=self.timeout
                )
            except (httpx.TransportError, httpx.DecodingError) as error:
                problem = f"no answer ({type(error).__name__}: {error})"
            else:
                if response.is_success:
                    return _json(response, self.url)
                status, problem = response.status_code, _said(response)
                if status not in _TRANSIENT:
                    raise ServerError(f"{self.url} refuses to embed: {problem}{self._advice(status)}", status=status)
                told = _retry_after(response)
            pause = wait * random.uniform(0.5, 1) if told is None else told  # noqa: S311  not for secrets
            if time.monotonic() + pause > deadline:
                raise ServerError(
                    f"{self.url} did not embed within {self.retry_for:g} s: {problem}; ask again later, or give it "
                    "more time (retry_for=…) and fewer texts at once (batch_size=…)",
                    status=status,
                )
            logger.info("%s: %s; asking again in %.1f s", self.url, problem, pause)
            self._sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.api_key_variable, "").strip()  # files that keys are read from end in a newline
        if not (key.isascii() and key.isprintable()):
            # an error of httpx would quote it
            raise ValueError(
                f"the key in {self.api_key_variable} holds characters that no header can; put it into the "
                f"environment again: export {self.api_key_variable}=…"
            )
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _advice(self, status: int) -> str:
        if status in (401, 403):
            return f"; put its key into the environment: export {self.api_key_variable}=…"
        if status == 404:
            return "; the address is the one that /embeddings follows, such as https://api.openai.com/v1"
        return ""


def _checked_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ValueError(f"the address of an embedder cannot be read: {error}") from None
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError(
            "the address of an embedder is saved with the encoder, so it holds no password and no query; put a key "
            f"into the environment: {KEY_VARIABLE}"
        )
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is no address of an embedder; write one like https://api.openai.com/v1")
    return str(parsed).rstrip("/").removesuffix("/embeddings")


def _json(response: httpx.Response, url: str) -> Any:
    try:
        return response.json()
    except ValueError:
        raise ServerError(
            f"{url} answers with something else than JSON: {response.text[:_QUOTED]!r}; is it an API of embeddings?",
            status=response.status_code,
        ) from None


def _vectors(answer: Any, count: int, url: str) -> npt.NDArray[np.float32]:
    """Vectors ``(n, d)`` of an answer, in the order of the texts.

    Raises:
        ServerError: If it holds something else than one vector for each text.
    """
    try:
        entries = {int(entry["index"]): entry["embedding"] for entry in answer["data"]}
        with np.errstate(over="ignore"):  # what is too large for float32 is named where all vectors are checked
            vectors = np.array([entries[i] for i in range(count)], dtype=np.float32)
        problem = "" if vectors.ndim == 2 and len(entries) == count else f"{len(entries)} of shape {vectors.shape[1:]}"
    except KeyError as error:
        problem = f"there is no {error}"
    except (TypeError, ValueError) as error:
        problem = str(error)
    if problem:
        raise ServerError(
            f"{url} answers with something else than one vector for each of {count} texts: {problem}. It must be an "
            "API like OpenAI's /v1/embeddings"
        )
    return vectors


def _said(response: httpx.Response) -> str:
    try:
        said = response.json()
        message = said["error"]["message"] if isinstance(said.get("error"), Mapping) else said
    except (ValueError, AttributeError, KeyError):
        message = response.text
    return f"{response.status_code} {str(message)[:_QUOTED]}"


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait; ``None`` if it does not say."""
    said = response.headers.get("retry-after")
    if said is None:
        return None
    try:
        seconds = float(said)
        return None if math.isnan(seconds) else max(seconds, 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(said).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None
