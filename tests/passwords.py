"""Passwords of tests: hashed in one round, since no one guesses here; every process of the product can verify them."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

# What `PASSWORD_HASHERS` is in this process. Processes that tests start keep the product's own.
HASHERS = ["tests.passwords.OneRoundPasswordHasher"]


class OneRoundPasswordHasher(PBKDF2PasswordHasher):
    """The product's algorithm; each hash carries its number of rounds."""

    iterations = 1
