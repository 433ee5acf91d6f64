"""A durable storage in Redis or Valkey, shared by processes and machines."""
