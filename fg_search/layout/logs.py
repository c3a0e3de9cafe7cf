"""Layout of the two logs beside an index: collections without vectors, one of decisions and one of queries."""

from __future__ import annotations

from datetime import datetime, timezone

from qdrant_client import models

from fg_search.engine.port import PayloadIndex, PayloadIndexes
from fg_search.layout.settings import IndexSettings

NO_VECTOR = "none"  # the embedded engine wants every collection to have a vector; no entry has one

# payload keys of an entry
STAGE, ITEM, NUMBER, TENANT, TIME, UNDOES = "stage", "item", "number", "tenant", "time", "undoes"
DECISION_TURN, DECIDED_BY = "turn", "decided_by"  # of a query
JUDGEMENT_TURN, JUDGED_BY = "judgement_turn", "judged_by"  # of its answer
KEY = "key"  # of an entry that is not in the log yet: the id of its point there

DECISION_LOG_INDEXES: PayloadIndexes = {
    STAGE: models.PayloadSchemaType.KEYWORD,
    ITEM: models.PayloadSchemaType.KEYWORD,
    NUMBER: models.PayloadSchemaType.INTEGER,
    TENANT: models.PayloadSchemaType.KEYWORD,
    TIME: models.PayloadSchemaType.DATETIME,
}


def decision_log(collection: str) -> str:
    """Name of the collection that logs decisions about an index."""
    return f"{collection}.decisions"


def query_log(collection: str) -> str:
    """Name of the collection that logs queries to an index."""
    return f"{collection}.queries"


def log_names(collection: str) -> tuple[str, str]:
    """Names of both logs beside an index."""
    return decision_log(collection), query_log(collection)


def is_log(info: models.CollectionInfo) -> bool:
    """Whether a collection is a log, and not one of somebody else's that has the name of one."""
    params = info.config.params
    return not params.vectors and set(params.sparse_vectors or ()) == {NO_VECTOR}


def query_log_indexes(settings: IndexSettings) -> PayloadIndexes:
    """Payload indexes of the log of queries."""
    indexes: dict[str, PayloadIndex] = {
        DECISION_TURN: models.PayloadSchemaType.INTEGER,
        DECIDED_BY: models.PayloadSchemaType.KEYWORD,
        JUDGEMENT_TURN: models.PayloadSchemaType.INTEGER,
        JUDGED_BY: models.PayloadSchemaType.KEYWORD,
    }
    if settings.tenant_key is None:
        return indexes
    return indexes | {TENANT: models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)}


def now() -> str:
    """Current time in the format of the logs."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
