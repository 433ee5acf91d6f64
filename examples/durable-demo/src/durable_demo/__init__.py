"""A pipeline over real files that survives a `kill -9`."""
