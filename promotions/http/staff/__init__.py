"""Calls of the store staff's device."""
