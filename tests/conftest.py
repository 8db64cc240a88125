"""Fixtures of the whole suite, named after roles: ada consents, bo is held out, cy does not consent, mallory is a stranger."""
