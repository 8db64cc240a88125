"""The steps that follow every restore, in this order, in the drill and for real: `manage.py after_restore`.

A step that must follow a restore is added here; the drill then runs it on the copy and shows its line.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.core.management import call_command

from promotions.checks import find_migration_faults


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name, and a function that returns a short result. It may run twice."""

    name: str
    run: Callable[[], str]


def _migrate() -> str:
    call_command("migrate", verbosity=0, interactive=False)
    faults = find_migration_faults()
    return " ".join(faults) or "the schema is that of this release"


AFTER_RESTORE: Sequence[Step] = (Step("migrate to this release", _migrate),)
