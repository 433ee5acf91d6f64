"""Servers for the tests of storages, a module each."""
