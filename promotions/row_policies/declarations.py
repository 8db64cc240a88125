"""The declaration itself: frozen values. A model of the product has it as its attribute `row_policy`.

A path is a chain of field names, as in a query. A function is a dotted path, because models import no services.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Verb = Literal["view", "add", "change", "delete"]
Verbs = tuple[Verb, ...]

VIEW: Verbs = ("view",)
EDIT: Verbs = ("view", "add", "change")
MANAGE: Verbs = ("view", "add", "change", "delete")


@dataclass(frozen=True, slots=True)
class Owner:
    """Paths from a row to the keys of the brand and the partner that own it. None: it has no such owner."""

    brand: str | None = None
    partner: str | None = None
    # The brand owns the row; partners see it.
    partners_only_view: bool = False
    # Brands see all rows, to choose stores from.
    brands_view_all: bool = False


# Rows that only the operator sees.
OPERATOR = Owner()


@dataclass(frozen=True, slots=True)
class Roles:
    """Permissions of each role on the rows of its brand or partner."""

    brand_manager: Verbs = ()
    brand_analyst: Verbs = ()
    partner_manager: Verbs = ()


class Section(StrEnum):
    """Sections of the admin's menu, in order."""

    CAMPAIGNS = "campaigns"
    PLACES = "places"
    TILL = "till"
    FACTS = "facts"
    OPERATIONS = "operations"


@dataclass(frozen=True, slots=True)
class Menu:
    """The line of the model's admin page in the menu. `title` is the model's plural name, translated."""

    title: object
    section: Section
    position: int
    icon: str


@dataclass(frozen=True, slots=True)
class Unlisted:
    """The model's admin page has no line in the menu."""

    why: str


@dataclass(frozen=True, slots=True)
class Blanked:
    """Fields that are emptied before the row expires: `function(before=...)` empties those older than `hours`."""

    what: str
    hours: int
    function: str


@dataclass(frozen=True, slots=True)
class Keep:
    """A row expires this long after the time in its field `by`: days, hours and the seconds of a setting, summed.

    It does not expire until `not_before_days` after the time at the path `not_before`, and a row with the key
    `or_with_parent` does not expire by itself: it is deleted with that parent. Retention deletes expired rows, or calls
    `deleted_by(now=...)`, which returns how many rows it deleted. A table with short-lived rows has a higher ceiling.
    """

    by: str
    days: int = 0
    hours: int = 0
    seconds_setting: str | None = None
    not_before: str | None = None
    not_before_days: int = 0
    or_with_parent: str | None = None
    is_short_lived: bool = False
    blanked: Blanked | None = None
    deleted_by: str | None = None


@dataclass(frozen=True, slots=True)
class ExpiredBy:
    """`function(now=...)` returns a query of the expired rows, for a rule that `Keep` cannot express."""

    function: str
    until: str


@dataclass(frozen=True, slots=True)
class WithParent:
    """A row is deleted with the row that its key `parent` refers to."""

    parent: str


@dataclass(frozen=True, slots=True)
class Forever:
    """Retention deletes no row. `why` states how long it is kept instead."""

    why: str


Retention = Keep | ExpiredBy | WithParent | Forever


@dataclass(frozen=True, slots=True)
class Delete:
    """Erasure deletes the rows whose path `by` is the device's id."""

    by: str


@dataclass(frozen=True, slots=True)
class Cascade:
    """Erasure deletes a row with its parent: `by` is the path to the device's id, and its first key is the parent.

    `first(device_id, now=...)` runs before.
    """

    by: str
    first: str | None = None


@dataclass(frozen=True, slots=True)
class Detach:
    """Erasure sets the first key of `by` to null; the row stays, and no longer leads to the device."""

    by: str


@dataclass(frozen=True, slots=True)
class ErasedBy:
    """`function(device_id, now=...)` removes the device's data from the rows."""

    function: str


@dataclass(frozen=True, slots=True)
class Subject:
    """The row of the device itself. Erasure deletes it last."""


@dataclass(frozen=True, slots=True)
class Remains:
    """Personal data that the erasure of a device leaves."""

    why: str


@dataclass(frozen=True, slots=True)
class NotPersonal:
    """A row leads to no device and no person."""


Erasure = Delete | Cascade | Detach | ErasedBy | Subject | Remains | NotPersonal


@dataclass(frozen=True, slots=True)
class Export:
    """The export of a device contains these columns of its rows, in the order of the field `order_by`."""

    order_by: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExportedBy:
    """A function that is written for these rows exports them."""

    function: str


@dataclass(frozen=True, slots=True)
class NotExported:
    """The export of a device leaves the rows out."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """A database trigger records each change of a row: who, when, from which value to which, and why.

    Columns are named as in the database. `label` is the column that names the row; None if it would name a person.
    """

    label: str | None = None
    # Recorded as changed, without the values: secrets, and names of people, which an erasure could not remove.
    sealed: tuple[str, ...] = ()
    # Changes that are no decision: times of use, counters, values that the database derives.
    ignored: tuple[str, ...] = ()
    # If given, only changes of these columns are recorded. For tables that phones and tills write to.
    only: tuple[str, ...] = ()
    operations: tuple[Literal["insert", "update", "delete"], ...] = ("insert", "update", "delete")
    # The key to the row on whose history page the changes appear too.
    parent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPolicy:
    """Owner, permissions, menu, retention, erasure, export and audit of a model's rows."""

    owner: Owner = OPERATOR
    roles: Roles = Roles()
    menu: Menu | Unlisted
    retention: Retention
    erasure: Erasure
    # Required if erasure concerns the rows.
    export: Export | ExportedBy | NotExported | None = None
    # Required if the rows can be edited in admin. None: facts, which have their own record of who and when.
    audit: Audit | None = None
