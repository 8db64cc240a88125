"""Tables that people send, and what becomes of their lines. One file per kind of table."""
