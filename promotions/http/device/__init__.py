"""Calls of the consumer's phone."""
