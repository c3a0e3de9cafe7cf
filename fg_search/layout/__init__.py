"""How an index is kept in Qdrant: payload keys, settings, schema, points and logs."""
