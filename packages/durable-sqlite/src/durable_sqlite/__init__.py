"""A durable storage in one SQLite file."""
