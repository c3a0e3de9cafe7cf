"""The two roles of a text: what is searched for, and what is found."""

from __future__ import annotations

from typing import Literal

Role = Literal["query", "document"]


def check_role(role: Role) -> Role:
    """Check that a role is one.

    Raises:
        ValueError: If it is not.
    """
    if role not in ("query", "document"):
        raise ValueError(f"role must be 'query' or 'document', got {role!r}")
    return role
