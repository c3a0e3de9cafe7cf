"""From texts to feature-group embeddings: the head, what it learns from, and the encoder around it."""
