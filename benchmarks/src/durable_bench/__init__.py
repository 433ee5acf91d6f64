"""One workload, every storage, and the least that any engine must do beside it."""
