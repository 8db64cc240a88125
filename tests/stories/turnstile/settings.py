"""The product's settings, with one line more in the registry of mechanics, and the migration of its tables."""

from promotions.mechanics import PACKAGES
from promotions.settings import *  # noqa: F403

PACKAGES.append("tests.stories.turnstile")

MIGRATION_MODULES = {"promotions": "tests.stories.turnstile.migrations"}
