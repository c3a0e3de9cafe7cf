"""Integrations with other libraries, one module per library; each is an optional extra."""
