"""Brands, partners, their users and tokens."""
