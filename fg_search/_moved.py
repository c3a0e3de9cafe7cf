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

_MOVED = {  # several modules where one was split
    "batching": "model.batching",
    "cache": "model.cache",
    "codebook": "model.codebook",
    "confidence.threshold": "confidence.thresholds",
    "cross_fitting": "model.cross_fitting",
    "describe": "model.description",
    "embeddings": "model.embeddings",
    "encoder": "model.encoder",
    "encoder_folder": "model.saved_encoder",
    "evaluation.calibration": "evaluation.calibration_error",
    "fingerprint": "model.fingerprint",
    "fit": "model.fit model.history",
    "head": "model.head",
    "index.adding": "index.ingestion",
    "index.async_index": "async_confidence_index",
    "index.changing": "index.info index.labels index.removal",
    "index.confidence_index": "confidence_index",
    "index.confusing": "review.confused_labels",
    "index.copying": "index.copies",
    "index.deciding": "review.workflow",
    "index.evaluating": "index.evaluation",
    "index.judging": "index.relevance",
    "index.marking": "review.item_scores",
    "index.migrating": "index.migration",
    "index.query_log": "queries.log",
    "index.query_logging": "queries.logged_search",
    "index.refitting": "index.refit index.corpus",
    "index.scoring": "review.label_scores",
    "index.searching": "index.search index.query_vectors index.retrieval",
    "index.setting_aside": "index.set_aside",
    "index.traffic": "queries.decisions queries.missing_labels",
    "loss": "model.loss",
    "output_layer": "model.output_layer",
    "pretrained": "model.pretrained",
    "review.argilla": "integrations.argilla",
    "review.conflicts": "review.issues.conflicts",
    "review.confusion": "review.issues.confusion",
    "review.corrections": "review.exports.corrections",
    "review.diversity": "review.issues.diversity",
    "review.duplicates": "review.issues.duplicates",
    "review.export": "review.exports.formats",
    "review.labels": "review.issues.label_errors review.issues",
    "review.marks": "review.issues.marks",
    "review.missing_labels": "queries.clusters",
    "review.neighbours": "review.issues.neighbours",
    "review.noise": "review.issues.noise",
    "review.outliers": "review.issues.outliers",
    "review.queries": "queries.entries",
    "review.reasons": "review.issues.reasons",
    "review.regression": "review.issues.ridge_regression",
    "review.scores": "review.issues",
    "review.spreadsheet": "review.exports.spreadsheet",
    "search": "index.search_options index.search_results index.search_plan index.abstention index.query_vectors",
    "storage": "edge",
    "storage.collection": "edge.collection",
    "storage.connect": "engine.connection",
    "storage.disk_space": "edge.disk_space",
    "storage.edge": "edge.client",
    "storage.folder": "edge.folder",
    "storage.keys": "layout.keys",
    "storage.points": "layout.points layout.items layout.item_input layout.payloads",
    "storage.schema": "layout.schema layout.keys",
    "storage.server_snapshots": "engine.snapshot_transfer",
    "storage.settings": "layout.settings",
    "storage.snapshot_archive": "edge.snapshot_archive",
    "storage.snapshots": "edge.snapshot_folder",
    "storage.vectors": "edge.vector_schema",
    "temperature": "model.temperature",
    "training_set": "model.training_set",
}


class _MovedModules(MetaPathFinder):
    """Finds modules by their old names, after all other finders have failed to."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        package, old = name.partition(".")[::2]
        if package != __package__ or old not in _MOVED:
            return None
        is_package = any(other.startswith(f"{old}.") for other in _MOVED)
        new = [f"{package}.{module}" for module in _MOVED[old].split()]
        return ModuleSpec(name, _MovedModule(new), is_package=is_package)


class _MovedModule(Loader):
    """Gives a module the content of those that took its place."""

    def __init__(self, new: list[str]) -> None:
        self._new = new

    def exec_module(self, module: ModuleType) -> None:
        warnings.warn(
            f"the module {module.__name__} is now {' and '.join(self._new)}; the old name goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        for new in self._new:
            content = vars(import_module(new)).items()
            vars(module).update((name, value) for name, value in content if name == "__getattr__" or name[:2] != "__")


def install() -> None:
    """Let old names be found."""
    sys.meta_path.append(_MovedModules())
