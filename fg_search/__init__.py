"""fg_search: vector search that knows when it does not know.

Importing the package loads neither torch nor an engine: each public name is fetched from its module when it
is first used.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fg_search.codebook import Codebook
    from fg_search.confidence.calibrator import Calibrator
    from fg_search.confidence.threshold import PrecisionThreshold, threshold_for_precision
    from fg_search.cross_fitting import cross_fit
    from fg_search.describe import Description
    from fg_search.embeddings import FeatureEmbeddings
    from fg_search.encoder import FeatureGroupEncoder
    from fg_search.fit import fit_head
    from fg_search.head import FeatureGroupHead
    from fg_search.index.adding import AddReport
    from fg_search.index.async_index import AsyncConfidenceIndex
    from fg_search.index.calibration import Calibration
    from fg_search.index.changing import IndexInfo
    from fg_search.index.confidence_index import ConfidenceIndex
    from fg_search.index.evaluating import IndexEvaluation, evaluate
    from fg_search.index.marking import ItemScores
    from fg_search.index.scoring import LabelScores
    from fg_search.loss import FeatureGroupLoss
    from fg_search.review.confusion import ConfusedLabels
    from fg_search.review.decisions import Decision
    from fg_search.review.items import ReviewItem
    from fg_search.review.missing_labels import MissingLabel
    from fg_search.review.queries import LoggedQuery
    from fg_search.search import GroupedResult, Hit, HitGroup, SearchResult
    from fg_search.storage.edge import EdgeClient
    from fg_search.storage.settings import IndexSettings

__version__ = version("fg_search")

_MODULES = {
    "AddReport": "index.adding",
    "AsyncConfidenceIndex": "index.async_index",
    "Calibration": "index.calibration",
    "ConfusedLabels": "review.confusion",
    "Decision": "review.decisions",
    "GroupedResult": "search",
    "HitGroup": "search",
    "IndexEvaluation": "index.evaluating",
    "ItemScores": "index.marking",
    "LabelScores": "index.scoring",
    "LoggedQuery": "review.queries",
    "MissingLabel": "review.missing_labels",
    "evaluate": "index.evaluating",
    "IndexSettings": "storage.settings",
    "Calibrator": "confidence.calibrator",
    "Description": "describe",
    "FeatureGroupLoss": "loss",
    "PrecisionThreshold": "confidence.threshold",
    "cross_fit": "cross_fitting",
    "threshold_for_precision": "confidence.threshold",
    "Codebook": "codebook",
    "ConfidenceIndex": "index.confidence_index",
    "EdgeClient": "storage.edge",
    "FeatureEmbeddings": "embeddings",
    "FeatureGroupEncoder": "encoder",
    "FeatureGroupHead": "head",
    "Hit": "search",
    "IndexInfo": "index.changing",
    "ReviewItem": "review.items",
    "SearchResult": "search",
    "fit_head": "fit",
}

__all__ = [
    "AddReport",
    "AsyncConfidenceIndex",
    "Calibration",
    "Calibrator",
    "Codebook",
    "ConfidenceIndex",
    "ConfusedLabels",
    "Decision",
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
    "ReviewItem",
    "SearchResult",
    "__version__",
    "cross_fit",
    "evaluate",
    "fit_head",
    "threshold_for_precision",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'fg_search' has no attribute {name!r}")
    return getattr(import_module(f"fg_search.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
