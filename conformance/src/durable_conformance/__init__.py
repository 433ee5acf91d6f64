"""Certify that a storage keeps the promises of the durable storage protocol."""
