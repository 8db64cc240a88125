"""Calls of the brand."""
