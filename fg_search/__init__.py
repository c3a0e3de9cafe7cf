"""fg_search: vector search that knows when it does not know.

Importing the package loads neither torch nor an engine: each public name is fetched from its module when it
is first used. Types of reports and results live in the modules that make them.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from warnings import warn

from fg_search import _moved
from fg_search.errors import (
    DecisionConflictError,
    EmptyIndexError,
    EncoderNotFoundError,
    FgSearchError,
    FolderLockedError,
    FormatVersionError,
    IndexClosedError,
    IndexNotFoundError,
    ItemNotFoundError,
    ModelMismatchError,
    NoEmbedderError,
    NotCalibratedError,
    NotFittedError,
    NothingLoggedError,
    NothingToUndoError,
    NotScoredError,
    StorageError,
    UncertainQueryError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from fg_search.async_confidence_index import AsyncConfidenceIndex
    from fg_search.confidence.calibrator import Calibrator
    from fg_search.confidence.gate import PrecisionGate
    from fg_search.confidence.thresholds import threshold_for_precision
    from fg_search.confidence_index import ConfidenceIndex
    from fg_search.edge.client import EdgeClient
    from fg_search.index.evaluation import evaluate
    from fg_search.layout.settings import IndexSettings
    from fg_search.model.codebook import Codebook
    from fg_search.model.cross_fitting import cross_fit
    from fg_search.model.embedders.brought import BroughtVectors
    from fg_search.model.embedders.embedder import Embedded, Embedder
    from fg_search.model.embedders.fast_embed import FastEmbedEmbedder
    from fg_search.model.embedders.function import CallableEmbedder
    from fg_search.model.embedders.http import HttpEmbedder
    from fg_search.model.embedders.model2vec import Model2VecEmbedder
    from fg_search.model.embedders.sentence_transformer import SentenceTransformerEmbedder
    from fg_search.model.embeddings import FeatureEmbeddings
    from fg_search.model.encoder import FeatureGroupEncoder
    from fg_search.model.fit import fit_head
    from fg_search.model.head import FeatureGroupHead
    from fg_search.model.loss import FeatureGroupLoss

_moved.install()
__version__ = version("fg_search")

_MODULES = {
    "AsyncConfidenceIndex": "async_confidence_index",
    "BroughtVectors": "model.embedders.brought",
    "Calibrator": "confidence.calibrator",
    "CallableEmbedder": "model.embedders.function",
    "Codebook": "model.codebook",
    "ConfidenceIndex": "confidence_index",
    "EdgeClient": "edge.client",
    "Embedded": "model.embedders.embedder",
    "Embedder": "model.embedders.embedder",
    "FastEmbedEmbedder": "model.embedders.fast_embed",
    "FeatureEmbeddings": "model.embeddings",
    "FeatureGroupEncoder": "model.encoder",
    "FeatureGroupHead": "model.head",
    "FeatureGroupLoss": "model.loss",
    "HttpEmbedder": "model.embedders.http",
    "IndexSettings": "layout.settings",
    "Model2VecEmbedder": "model.embedders.model2vec",
    "PrecisionGate": "confidence.gate",
    "SentenceTransformerEmbedder": "model.embedders.sentence_transformer",
    "cross_fit": "model.cross_fitting",
    "evaluate": "index.evaluation",
    "fit_head": "model.fit",
    "threshold_for_precision": "confidence.thresholds",
}

__all__ = [
    "AsyncConfidenceIndex",
    "BroughtVectors",
    "Calibrator",
    "CallableEmbedder",
    "Codebook",
    "ConfidenceIndex",
    "DecisionConflictError",
    "EdgeClient",
    "Embedded",
    "Embedder",
    "EmptyIndexError",
    "EncoderNotFoundError",
    "FastEmbedEmbedder",
    "FeatureEmbeddings",
    "FeatureGroupEncoder",
    "FeatureGroupHead",
    "FeatureGroupLoss",
    "FgSearchError",
    "FolderLockedError",
    "FormatVersionError",
    "HttpEmbedder",
    "IndexClosedError",
    "IndexNotFoundError",
    "IndexSettings",
    "ItemNotFoundError",
    "Model2VecEmbedder",
    "ModelMismatchError",
    "NoEmbedderError",
    "NotCalibratedError",
    "NotFittedError",
    "NotScoredError",
    "NothingLoggedError",
    "NothingToUndoError",
    "PrecisionGate",
    "SentenceTransformerEmbedder",
    "StorageError",
    "UncertainQueryError",
    "UnsupportedError",
    "__version__",
    "cross_fit",
    "evaluate",
    "fit_head",
    "threshold_for_precision",
]

# what 0.1 exported here as well: where it is now
_ELSEWHERE = {
    "AddReport": "index.ingestion.AddReport",
    "Calibration": "index.calibration.Calibration",
    "ConfusedLabels": "review.issues.confusion.ConfusedLabels",
    "Decision": "review.decisions.ReviewDecision",
    "Description": "model.description.Description",
    "GroupedResult": "index.search_results.GroupedResult",
    "Hit": "index.search_results.Hit",
    "HitGroup": "index.search_results.HitGroup",
    "IndexEvaluation": "index.evaluation.IndexEvaluation",
    "IndexHealth": "index.health.IndexHealth",
    "IndexInfo": "index.info.IndexInfo",
    "ItemScores": "review.item_scores.ItemScores",
    "LabelScores": "review.label_scores.LabelScores",
    "LoggedQuery": "queries.entries.LoggedQuery",
    "MissingLabel": "queries.clusters.MissingLabel",
    "PrecisionThreshold": "confidence.thresholds.PrecisionThreshold",
    "ReviewItem": "review.items.ReviewItem",
    "SearchResult": "index.search_results.SearchResult",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"fg_search.{_MODULES[name]}"), name)
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'fg_search' has no attribute {name!r}")
    module, _, attribute = _ELSEWHERE[name].rpartition(".")
    warn(
        f"fg_search.{name} is now fg_search.{module}.{attribute}; the old name goes with the next release",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(import_module(f"fg_search.{module}"), attribute)


def __dir__() -> list[str]:
    return __all__
