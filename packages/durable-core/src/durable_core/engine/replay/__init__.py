"""Durable functions: run in a small event loop of their own, so that a re-run does the same."""
