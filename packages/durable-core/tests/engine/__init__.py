"""The engine on the memory storage, with a fake clock and faults on purpose."""
