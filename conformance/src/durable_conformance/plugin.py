"""The pytest plugin that gives the verdict, loaded by its entry point."""
