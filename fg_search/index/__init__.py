"""A corpus in Qdrant whose points know how sure their embedding is.

``confidence_index`` and ``async_index`` are the two faces; ``state`` is what an index knows by itself; each other
module is one kind of operation, written once for both faces (see :mod:`fg_search.engine.operations`).
"""
