"""The helpers for users' own tests."""
