"""Other libraries, one a module; each is an extra."""
