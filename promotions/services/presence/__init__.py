"""How sure it is that a phone is at a store."""
