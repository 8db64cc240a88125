"""Loaded by Python at its start: a web process whose callers share one pool, as without the guard."""

from promotions.database import audiences

audiences._PREFIXES = ()
