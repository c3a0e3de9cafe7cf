"""Layout of an index in Qdrant: payload keys, settings, schema, items, points and logs."""
