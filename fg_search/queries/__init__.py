"""The log of queries, clusters of those without an answer, and what is decided about them."""
