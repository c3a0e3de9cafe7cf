"""The methods of :class:`~fg_search.edge.client.EdgeClient`, grouped by concern."""
