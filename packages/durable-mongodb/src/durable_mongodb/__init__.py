"""A durable storage in a MongoDB replica set, shared by processes and machines."""
