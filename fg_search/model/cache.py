"""A disk cache of base embeddings: each model encodes each text only once."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fg_search.errors import StorageError

_KEYS_PER_QUERY = 500


def default_cache_folder() -> Path:
    """``$FG_SEARCH_CACHE`` if set, otherwise ``fg_search`` in the platform's user cache folder."""
    if chosen := os.environ.get("FG_SEARCH_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        root = os.environ.get("LOCALAPPDATA", "~/AppData/Local")
    elif sys.platform == "darwin":
        root = "~/Library/Caches"
    else:
        root = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(root).expanduser() / "fg_search"


class EmbeddingCache:
    """One SQLite file per model, mapping hashes of texts to float32 vectors.

    Several processes can share it, and a process can be killed at any time: batches are written atomically.

    Args:
        folder: Folder of the files, created if missing. It can be deleted at any time; texts are then encoded again.
        model: Fingerprint of the base model.
        dimension: Dimension d of the vectors.

    Raises:
        StorageError: From the constructor and every method, if the folder or file cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str], model: str, dimension: int) -> None:
        self.path = Path(folder) / f"{model}.sqlite"
        self.dimension = dimension
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection, connection:
                connection.execute("CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from error

    def get(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Look up the vectors of n texts.

        Returns:
            ``(n, d)`` float32 vectors, zero where missing, and ``(n,)`` booleans, whether each was found.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        found = np.zeros(len(texts), dtype=bool)
        rows: dict[bytes, list[int]] = {}
        for row, text in enumerate(texts):
            rows.setdefault(_key(text), []).append(row)
        try:
            with closing(self._connect()) as connection:
                for key, vector in self._select(connection, list(rows)):
                    if len(vector) == 4 * self.dimension:
                        vectors[rows[key]] = np.frombuffer(vector, dtype=np.float32)
                        found[rows[key]] = True
        except sqlite3.Error as error:
            raise self._error(error) from error
        return vectors, found

    def put(self, texts: Sequence[str], vectors: npt.NDArray[np.float32]) -> None:
        """Store the vectors ``(n, d)`` float32 of n texts."""
        try:
            with closing(self._connect()) as connection, connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?)",
                    ((_key(text), vector.tobytes()) for text, vector in zip(texts, vectors, strict=True)),
                )
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60)

    def _select(self, connection: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            some = keys[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(some))
            yield from connection.execute(f"SELECT text, vector FROM vectors WHERE text IN ({marks})", some)  # noqa: S608

    def _error(self, error: Exception) -> StorageError:
        return StorageError(
            f"the embedding cache {os.fspath(self.path)!r} cannot be used ({error}); "
            "delete it, or choose another folder (cache_folder=…, --cache, $FG_SEARCH_CACHE), or do without a cache "
            "(cache_folder=None, --no-cache)"
        )


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).digest()
