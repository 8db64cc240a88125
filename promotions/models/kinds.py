"""The kinds of campaigns and the outcomes of unlocks, by value, with their labels.

Each mechanic declares its own; `promotions.services.mechanics.register` fills these tables at start. The columns read
their choices from here, so that a new mechanic needs no migration of them.
"""

KINDS: dict[str, str] = {}
OUTCOMES: dict[str, str] = {}


def list_kinds() -> list[tuple[str, str]]:
    """Return the choices of `Campaign.kind`."""
    return list(KINDS.items())


def list_outcomes() -> list[tuple[str, str]]:
    """Return the choices of `Unlock.outcome`."""
    return list(OUTCOMES.items())
