"""A mechanic for the tests: a turnstile with two lanes, where every second device of a lane passes and gets a coupon.

It is written as CONTRIBUTING.md says, and registered by one line, in `settings.py` beside this file.
"""
