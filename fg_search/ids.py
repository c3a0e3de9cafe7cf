"""User ids and the point ids derived from them."""

from __future__ import annotations

import json
import numbers
from uuid import NAMESPACE_URL, UUID, uuid5

UserId = int | str

_NAMESPACE = uuid5(NAMESPACE_URL, "fg_search")
_MAX_INTEGER = 2**64 - 1
_MOST_DIGITS = 20  # of an integer of 64 bits


def plain_id(user_id: object) -> UserId:
    """The id as an ``int`` or ``str`` itself: numpy's integers and strings and members of such enums equal one.

    Arrow's scalars hold one.

    Raises:
        TypeError: If it is neither an integer nor a string.
    """
    if type(user_id) is str or type(user_id) is int:  # the usual case
        return user_id
    if isinstance(user_id, str):
        return str.__str__(user_id)  # str() of a member of an enum is its name
    if isinstance(user_id, numbers.Integral) and not isinstance(user_id, bool):
        return int(user_id)
    if hasattr(user_id, "as_py"):  # of Arrow
        return plain_id(user_id.as_py())
    raise TypeError(f"an id must be an int or a str, got {type(user_id).__name__}: {user_id!r}{_advice(user_id)}")


def check_id(user_id: object, name: str) -> UserId:
    """The id of a new item as a plain ``int`` or ``str``.

    Raises:
        TypeError, ValueError: If it is missing, of another type, or blank; the message starts with ``name``.
    """
    try:
        plain = plain_id(user_id)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    if isinstance(plain, str) and not plain.strip():
        raise ValueError(f"{name} is blank: {plain!r}; drop the item or give it an id that can be seen")
    return plain


def _advice(value: object) -> str:
    if isinstance(value, float) and value.is_integer():  # data frames make floats of integers beside missing values
        return "; use int(id)"
    return "; use str(id)" if isinstance(value, (UUID, float)) and value == value else ""


def point_id(user_id: UserId, *, tenant: str | None = None) -> int | str:
    """The point id for a user id: the id itself if it is an unsigned integer or a UUID, otherwise a UUIDv5 of it.

    Args:
        user_id: Id chosen by the user.
        tenant: Tenant that owns the item. Its point ids are always UUIDv5, because two tenants may use the same ids.

    Raises:
        TypeError: If the id is neither an integer nor a string.
        ValueError: If the id is an integer beyond 64 bits, which JSON readers would round, or a string with a lone
            surrogate.
    """
    plain = plain_id(user_id)
    if isinstance(plain, int):
        if not -(2**63) <= plain <= _MAX_INTEGER:
            raise ValueError(f"the id {plain} does not fit into 64 bits; use a string")
        if plain >= 0 and tenant is None:
            return plain
    elif tenant is None and is_uuid(plain):
        return plain
    owner = "" if tenant is None else f"tenant:{len(tenant)}:{tenant}:"
    kind = "int" if isinstance(plain, int) else "str"
    try:
        return str(uuid5(_NAMESPACE, f"{owner}{kind}:{plain}"))
    except UnicodeEncodeError:
        raise ValueError(f"the id {plain!r} holds half a character (a lone surrogate)") from None


def other_forms(user_id: UserId) -> list[UserId]:
    """Other ids that may be meant by one that is unknown: ``"2"`` for 2, and the other way round.

    Files of text have no types, JSON has: an id may have been read from the one and asked for as in the other. JSON
    also writes a text in quotes.
    """
    if isinstance(user_id, int):
        return [str(user_id)]
    trimmed = user_id.strip()
    read = id_from_json(trimmed)
    forms: list[UserId] = [trimmed, read, *([read.strip(), id_from_json(read)] if isinstance(read, str) else [])]
    return [form for form in dict.fromkeys(forms) if form not in (user_id, "") or type(form) is not type(user_id)]


def id_from_json(text: str) -> UserId:
    """Read an id as JSON: an integer, or a text in quotes. Anything else is a text as it is."""
    if len(text) <= _MOST_DIGITS and text.removeprefix("-").isdecimal() and text.isascii():
        number = int(text)
        return number if -(2**63) <= number <= _MAX_INTEGER and str(number) == text else text
    if text.startswith('"'):
        try:
            read = json.loads(text)
        except ValueError:
            return text
        if isinstance(read, str):
            return read
    return text


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in canonical form; other spellings of the same UUID are different user ids."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def text_id(text: str) -> str:
    """The default id of an item, derived from its text: the same text always gets the same id."""
    return str(uuid5(_NAMESPACE, f"text:{text}"))
