"""Coupon: every unlock gets a coupon for the campaign's benefit."""
