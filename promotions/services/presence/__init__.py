"""Evidence that a phone is at a store."""
