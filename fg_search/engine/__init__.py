"""The engine as the operations of an index see it: its port, the adapters, connecting, retries and paging."""
