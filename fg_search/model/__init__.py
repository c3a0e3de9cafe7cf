"""Feature-group embeddings of texts: the encoder, its head, and how the head is trained."""
