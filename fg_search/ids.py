"""User ids and the point ids derived from them."""

from __future__ import annotations

from uuid import NAMESPACE_URL, UUID, uuid5

UserId = int | str

_NAMESPACE = uuid5(NAMESPACE_URL, "fg_search")
_MAX_INTEGER = 2**64 - 1


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
    if isinstance(user_id, bool) or not isinstance(user_id, (int, str)):
        raise TypeError(f"an id must be an int or a str, got {type(user_id).__name__}: {user_id!r}")
    if isinstance(user_id, int):
        if not -(2**63) <= user_id <= _MAX_INTEGER:
            raise ValueError(f"the id {user_id} does not fit into 64 bits; use a string")
        if user_id >= 0 and tenant is None:
            return user_id
    if isinstance(user_id, str) and tenant is None and is_uuid(user_id):
        return user_id
    owner = "" if tenant is None else f"tenant:{len(tenant)}:{tenant}:"
    try:
        return str(uuid5(_NAMESPACE, f"{owner}{type(user_id).__name__}:{user_id}"))
    except UnicodeEncodeError:
        raise ValueError(f"the id {user_id!r} holds half a character (a lone surrogate)") from None


def is_uuid(text: str) -> bool:
    """Whether the text is a UUID in canonical form; other spellings of the same UUID are different user ids."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def text_id(text: str) -> str:
    """The default id of an item, derived from its text: the same text always gets the same id."""
    return str(uuid5(_NAMESPACE, f"text:{text}"))
