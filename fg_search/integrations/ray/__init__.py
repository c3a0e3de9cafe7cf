"""Ray Data: an index is filled, audited and renewed by the workers of a Ray cluster."""

from fg_search.integrations.ray.adding import RayAddReport
from fg_search.integrations.ray.audit import Audit
from fg_search.integrations.ray.indexer import RayIndexer
from fg_search.integrations.ray.workers import Workers

__all__ = ["Audit", "RayAddReport", "RayIndexer", "Workers"]
