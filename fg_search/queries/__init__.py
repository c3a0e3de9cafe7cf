"""Log of queries, clusters of those without a sure answer, and decisions about them."""
