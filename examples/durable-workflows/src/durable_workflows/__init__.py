"""Durable functions and ordered plans, as programs that run on every storage."""
