"""Tests of the fix lane, on the real Redis."""
