"""How an index is kept in Qdrant, embedded or remote. Nothing here knows torch."""
