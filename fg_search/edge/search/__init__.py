"""Answers to queries, where more is needed than one call of the engine."""
