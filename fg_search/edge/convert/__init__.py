"""Conversion of ``qdrant_client.models`` to the types of Qdrant Edge and back."""
