"""The methods of :class:`~fg_search.edge.client.EdgeClient`, by what they concern."""
