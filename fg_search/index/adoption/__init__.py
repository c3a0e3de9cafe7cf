"""Adoption of a collection that others have made: planned, carried out, kept up to date, and undone."""
