"""Items as users hand them in: lists or generators of texts, ids, labels and payloads, checked row by row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from fg_search.ids import UserId, check_id, point_id, text_id
from fg_search.layout.items import Item
from fg_search.layout.payloads import checked_payload
from fg_search.layout.tables import rows_of
from fg_search.validation import check_label, check_list, check_same_length, check_text

_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True)


def checked_items(
    texts: Iterable[str],
    ids: Iterable[UserId] | None,
    labels: Iterable[str | None] | None,
    payloads: Iterable[Mapping[str, Any] | None] | None,
    *,
    base: npt.NDArray[np.float32] | None = None,
    tenant_key: str | None = None,
    tenant: str | None = None,
) -> Iterator[Item]:
    """Check items one after the other.

    Args:
        texts: List or generator of texts. The other lists or generators must have the same length.
        ids: User's ids. By default they are derived from the texts.
        labels: Labels, strings or whole numbers, ``None`` or NaN where unknown.
        payloads: JSON objects, or a table whose rows they are.
        base: ``(n, d)`` base embeddings of the texts that are there already.
        tenant_key: Payload key of the tenant, in an index with tenants.
        tenant: Tenant that the items belong to.

    Raises:
        TypeError, ValueError: On the first invalid item, with its position: an empty text, a payload that is not JSON
            or uses our key, two different items with one id, or a list that is too short or too long.
    """
    for name, values in {"texts": texts, "ids": ids, "labels": labels}.items():
        if values is not None:
            check_list(values, name, ordered=True)
    columns = {"ids": ids, "labels": labels, "payloads": payloads, "embeddings": base}
    if isinstance(texts, Sized):
        check_same_length(len(texts), {name: column for name, column in columns.items() if isinstance(column, Sized)})
    if payloads is not None:
        payloads = rows_of(payloads)
        check_list(payloads, "payloads", ordered=True)
    rows = _rows(texts, ids, labels, payloads)
    seen: dict[int | str, tuple[int, int]] = {}
    for i, (given_text, given_id, given_label, given_payload) in enumerate(rows):
        text = check_text(given_text, f"texts[{i}]")
        label = check_label(given_label, f"labels[{i}]")
        user_id = text_id(text) if ids is None else check_id(given_id, f"ids[{i}]")
        try:
            engine_id = point_id(user_id, tenant=tenant)
        except (TypeError, ValueError) as error:
            raise type(error)(f"ids[{i}]: {error}") from None
        payload = checked_payload(given_payload, f"payloads[{i}]", tenant_key=tenant_key, tenant=tenant)
        digest = item_digest(user_id, text, payload, f"payloads[{i}]", None if base is None else base[i])
        content = hash((digest, label))
        first, content_of_first = seen.setdefault(engine_id, (i, content))
        if content != content_of_first:
            raise ValueError(
                f"items {first} and {i} share the id {user_id!r} but differ; give each its own id"
                if ids is not None
                else f"texts[{first}] and texts[{i}] are the same text with different labels or payloads; "
                "pass ids to keep both, or drop one"
            )
        yield Item(engine_id, user_id, text, label, payload, digest)


def _rows(texts: Iterable[str], *others: Iterable[Any] | None) -> Iterator[tuple[Any, ...]]:
    """Rows of text, id, label and payload, with ``None`` where a column was not given."""
    columns = [repeat(None) if column is None else column for column in others]
    iterators = [iter(column) for column in columns]
    done = object()
    count = -1
    for count, text in enumerate(texts):
        row = [next(iterator, done) for iterator in iterators]
        if done in row:
            name = ("ids", "labels", "payloads")[row.index(done)]
            raise ValueError(f"{name} ends before texts[{count}]; give one for each text")
        yield (text, *row)
    for name, column, iterator in zip(("ids", "labels", "payloads"), others, iterators, strict=True):
        if column is not None and next(iterator, done) is not done:
            raise ValueError(f"{name} goes on after the last of {count + 1} texts; give one for each text")


def item_digest(
    user_id: UserId, text: str, payload: Mapping[str, Any], name: str, base: np.ndarray[Any, Any] | None = None
) -> str:
    """Digest of an item, as it is kept in ``fg.hash``.

    Args:
        user_id: Checked id.
        text: Checked text.
        payload: Checked payload.
        name: Name of the payload in error messages.
        base: Base embedding, if it was brought along.

    Raises:
        ValueError: If something cannot be stored as JSON.
    """
    try:
        content = _JSON.encode([user_id, text, payload]).encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} or the text beside it holds half a character (a lone surrogate)") from None
    except ValueError as error:
        raise ValueError(f"{name} cannot be stored as JSON: {error}") from None
    digest = hashlib.blake2b(content, digest_size=8)
    if base is not None:
        digest.update(base.tobytes())
    return digest.hexdigest()
