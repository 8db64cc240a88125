"""Unlocks, reservations, coupons and their tokens."""
