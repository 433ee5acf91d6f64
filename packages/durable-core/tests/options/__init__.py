"""Tests of options, durations and errors."""
