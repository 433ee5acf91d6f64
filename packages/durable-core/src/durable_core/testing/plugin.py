"""The pytest plugin of `durable_core.testing`, loaded by its entry point only."""
