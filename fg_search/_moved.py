"""Old names of modules, which keep working for one release.

They were renamed in 0.2. Importing one of them gives the module's new self and a ``DeprecationWarning``; encoders that
0.1 saved name the module of their head, so that plain sentence-transformers needs this to load them.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_MOVED = {
    "cache": "model.cache",
    "codebook": "model.codebook",
    "confidence.threshold": "confidence.thresholds",
    "cross_fitting": "model.cross_fitting",
    "describe": "model.description",
    "embeddings": "model.embeddings",
    "encoder": "model.encoder",
    "evaluation.calibration": "evaluation.calibration_error",
    "fit": "model.fit",
    "head": "model.head",
    "index.adding": "index.ingestion",
    "index.async_index": "async_confidence_index",
    "index.changing": "index.info",
    "index.confidence_index": "confidence_index",
    "index.copying": "index.copies",
    "index.evaluating": "index.evaluation",
    "index.marking": "review.item_scores",
    "index.scoring": "review.label_scores",
    "loss": "model.loss",
    "output_layer": "model.output_layer",
    "review.argilla": "integrations.argilla",
    "review.confusion": "review.issues.confusion",
    "review.export": "review.exports.formats",
    "review.missing_labels": "queries.clusters",
    "review.queries": "queries.entries",
    "review.scores": "review.issues",
    "search": "index.search",
    "storage": "edge",
    "storage.connect": "engine.connection",
    "storage.edge": "edge.client",
    "storage.keys": "layout.keys",
    "storage.points": "layout.points",
    "storage.schema": "layout.schema",
    "storage.settings": "layout.settings",
    "temperature": "model.temperature",
}


class _MovedModules(MetaPathFinder):
    """Finds modules by their old names, after all other finders have failed to."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        package, old = name.partition(".")[::2]
        if package != __package__ or old not in _MOVED:
            return None
        is_package = any(other.startswith(f"{old}.") for other in _MOVED)
        return ModuleSpec(name, _MovedModule(f"{package}.{_MOVED[old]}"), is_package=is_package)


class _MovedModule(Loader):
    """Gives a module the content of the one that took its place."""

    def __init__(self, new: str) -> None:
        self._new = new

    def exec_module(self, module: ModuleType) -> None:
        warnings.warn(
            f"the module {module.__name__} is now {self._new}; the old name goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        content = vars(import_module(self._new)).items()
        vars(module).update((name, value) for name, value in content if name == "__getattr__" or name[:2] != "__")


def install() -> None:
    """Let old names be found."""
    sys.meta_path.append(_MovedModules())
