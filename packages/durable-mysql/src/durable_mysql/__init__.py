"""A durable storage in a MySQL or MariaDB database, shared by processes and machines."""
