"""Connections to PostgreSQL: how long each kind of process may wait, and which callers share a pool."""
