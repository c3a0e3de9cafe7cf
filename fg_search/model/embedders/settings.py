"""Embedders in a saved folder: their settings as JSON, and the embedder made again of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from fg_search.errors import ModelMismatchError
from fg_search.model.embedders.brought import AbsentEmbedder, BroughtVectors
from fg_search.model.embedders.embedder import Embedder, SavedBySettings

_KINDS = {
    "brought": "brought.BroughtVectors",
    "fastembed": "fast_embed.FastEmbedEmbedder",
    "http": "http.HttpEmbedder",
    "model2vec": "model2vec.Model2VecEmbedder",
}


def to_settings(embedder: Embedder) -> dict[str, Any]:
    """What is saved of an embedder: its identity, and its settings if it can be made again of them."""
    saved: dict[str, Any] = {
        "kind": None,
        "name": embedder.name,
        "dimension": embedder.dimension,
        "fingerprint": embedder.fingerprint,
        "symmetric": embedder.is_symmetric,
    }
    if isinstance(embedder, SavedBySettings) and embedder.kind in _KINDS:
        saved |= {"kind": embedder.kind, "settings": dict(embedder.settings())}
    return saved


def of_settings(saved: Mapping[str, Any], given: Embedder | None) -> Embedder:
    """The embedder that was saved.

    Args:
        saved: What :func:`to_settings` returned.
        given: An embedder to use in its place, which must be the same, or of the model that made vectors that were
            brought along.

    Returns:
        The embedder that is given, or one made again of the settings, or, if there are none, one that stands for it and
        embeds nothing.

    Raises:
        ModelMismatchError: If another one is given.
    """
    if given is not None and saved["kind"] == BroughtVectors.kind and not isinstance(given, BroughtVectors):
        return BroughtVectors(**saved["settings"], embedder=given)
    if given is not None:
        if given.fingerprint != saved["fingerprint"]:
            raise ModelMismatchError(
                f"the encoder was fitted on vectors of the embedder {saved['name']!r} ({saved['fingerprint']}), this "
                f"one is {given.name!r} ({given.fingerprint}); their vectors cannot be compared: pass that one, or fit "
                "the encoder again"
            )
        return given
    if saved["kind"] not in _KINDS:
        return AbsentEmbedder(
            int(saved["dimension"]), str(saved["name"]), str(saved["fingerprint"]), symmetric=bool(saved["symmetric"])
        )
    module, _, name = _KINDS[saved["kind"]].rpartition(".")
    kind: Any = getattr(import_module(f"fg_search.model.embedders.{module}"), name)
    embedder: Embedder = kind(**saved["settings"])
    return embedder
