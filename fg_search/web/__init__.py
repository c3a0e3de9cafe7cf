"""The page and the JSON API of ``fg-search serve`` (extra: ``web``)."""
