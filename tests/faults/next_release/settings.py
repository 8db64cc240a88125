"""The product's settings with the next release's migrations of `promotions`."""

from promotions.settings import *  # noqa: F403

MIGRATION_MODULES = {"promotions": "tests.faults.next_release.migrations"}
