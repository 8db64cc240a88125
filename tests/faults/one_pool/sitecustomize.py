"""Loaded when Python starts: a web process in which all callers share one pool, as without the guard."""

from promotions.database import audiences

audiences._PREFIXES = ()
