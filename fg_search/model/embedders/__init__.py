"""What makes base embeddings of texts: one module for each kind of embedder."""
