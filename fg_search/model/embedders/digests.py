"""Fingerprints of embedders that are no more than their settings."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_DIGITS = 16


def settings_digest(kind: str, **settings: Any) -> str:
    """Fingerprint of whatever decides the vectors of a kind of embedder: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps([kind, settings], sort_keys=True).encode()).hexdigest()[:_DIGITS]
