"""fg_search: vector search that knows when it does not know.

Importing the package loads neither torch nor an engine: each public name is fetched from its module when it
is first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from warnings import warn

from fg_search import _moved

if TYPE_CHECKING:
    from fg_search.async_confidence_index import AsyncConfidenceIndex
    from fg_search.confidence.calibrator import Calibrator
    from fg_search.confidence.thresholds import PrecisionThreshold, threshold_for_precision
    from fg_search.confidence_index import ConfidenceIndex
    from fg_search.edge.client import EdgeClient
    from fg_search.index.calibration import Calibration
    from fg_search.index.evaluation import IndexEvaluation, evaluate
    from fg_search.index.info import IndexInfo
    from fg_search.index.ingestion import AddReport
    from fg_search.index.search_results import GroupedResult, Hit, HitGroup, SearchResult
    from fg_search.layout.settings import IndexSettings
    from fg_search.model.codebook import Codebook
    from fg_search.model.cross_fitting import cross_fit
    from fg_search.model.description import Description
    from fg_search.model.embeddings import FeatureEmbeddings
    from fg_search.model.encoder import FeatureGroupEncoder
    from fg_search.model.fit import fit_head
    from fg_search.model.head import FeatureGroupHead
    from fg_search.model.loss import FeatureGroupLoss
    from fg_search.queries.clusters import MissingLabel
    from fg_search.queries.entries import LoggedQuery
    from fg_search.review.decisions import ReviewDecision
    from fg_search.review.issues.confusion import ConfusedLabels
    from fg_search.review.item_scores import ItemScores
    from fg_search.review.items import ReviewItem
    from fg_search.review.label_scores import LabelScores

_moved.install()
__version__ = version("fg_search")

_MODULES = {
    "AddReport": "index.ingestion",
    "AsyncConfidenceIndex": "async_confidence_index",
    "Calibration": "index.calibration",
    "ConfusedLabels": "review.issues.confusion",
    "GroupedResult": "index.search_results",
    "HitGroup": "index.search_results",
    "IndexEvaluation": "index.evaluation",
    "ItemScores": "review.item_scores",
    "LabelScores": "review.label_scores",
    "LoggedQuery": "queries.entries",
    "MissingLabel": "queries.clusters",
    "evaluate": "index.evaluation",
    "IndexSettings": "layout.settings",
    "Calibrator": "confidence.calibrator",
    "Description": "model.description",
    "FeatureGroupLoss": "model.loss",
    "PrecisionThreshold": "confidence.thresholds",
    "cross_fit": "model.cross_fitting",
    "threshold_for_precision": "confidence.thresholds",
    "Codebook": "model.codebook",
    "ConfidenceIndex": "confidence_index",
    "EdgeClient": "edge.client",
    "FeatureEmbeddings": "model.embeddings",
    "FeatureGroupEncoder": "model.encoder",
    "FeatureGroupHead": "model.head",
    "Hit": "index.search_results",
    "IndexInfo": "index.info",
    "ReviewDecision": "review.decisions",
    "ReviewItem": "review.items",
    "SearchResult": "index.search_results",
    "fit_head": "model.fit",
}

__all__ = [
    "AddReport",
    "AsyncConfidenceIndex",
    "Calibration",
    "Calibrator",
    "Codebook",
    "ConfidenceIndex",
    "ConfusedLabels",
    "Description",
    "EdgeClient",
    "FeatureEmbeddings",
    "FeatureGroupEncoder",
    "FeatureGroupHead",
    "FeatureGroupLoss",
    "GroupedResult",
    "Hit",
    "HitGroup",
    "IndexEvaluation",
    "IndexInfo",
    "IndexSettings",
    "ItemScores",
    "LabelScores",
    "LoggedQuery",
    "MissingLabel",
    "PrecisionThreshold",
    "ReviewDecision",
    "ReviewItem",
    "SearchResult",
    "__version__",
    "cross_fit",
    "evaluate",
    "fit_head",
    "threshold_for_precision",
]


def __getattr__(name: str) -> Any:
    if name == "Decision":
        warn(
            "fg_search.Decision is now fg_search.ReviewDecision; the old name goes with the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        name = "ReviewDecision"
    if name not in _MODULES:
        raise AttributeError(f"module 'fg_search' has no attribute {name!r}")
    return getattr(import_module(f"fg_search.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
