"""Scans, redemptions, voids and staff."""
