"""Tests of the storage layer: the kit, the machine, the memory storage, the adapters."""
