"""Connections to PostgreSQL: how long each kind of process may wait, which callers share a pool, and who acts."""
