"""The checks, by area of the promise table."""
