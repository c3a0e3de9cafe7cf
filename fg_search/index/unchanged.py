"""Items that nobody has changed since they were added: only these may be written without having been read."""

from __future__ import annotations

from qdrant_client import models

from fg_search.layout.conditions import is_empty
from fg_search.layout.keys import HISTORY_VERSION_KEY

UNTOUCHED = models.Filter(must=[is_empty(HISTORY_VERSION_KEY)])
TOUCHED = models.Filter(must_not=[is_empty(HISTORY_VERSION_KEY)])
