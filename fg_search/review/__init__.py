"""Review: which items a person should look at, why, and what becomes of their decisions."""
