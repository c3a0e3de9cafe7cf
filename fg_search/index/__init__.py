"""A corpus in Qdrant whose points know how sure their embedding is.

``state`` is what an open index knows by itself. Each other module is one kind of operation: coroutines against
:class:`fg_search.engine.port.Engine`, which :class:`fg_search.ConfidenceIndex` and
:class:`fg_search.AsyncConfidenceIndex` share.
"""
