"""Engine behind an index: the port that operations use, its adapters, connecting, retries and paging."""
