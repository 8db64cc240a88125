"""Who acts: the person, credential, command or task behind the statements of this thread, and why.

Triggers on audited tables write the audit. They read a setting of the transaction, which `send_deed` sets before
each statement that names an audited table. Other statements cost nothing.
"""

import json
import re
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.db import transaction

SETTING = "doorstep.deed"


class ActorKind(StrEnum):
    """Kinds of actors. The id of each is that of its row, or a name where there is no row."""

    USER = "user"
    TILL = "till"
    KIOSK = "kiosk"
    ENROLMENT = "enrolment"
    BRAND_TOKEN = "brand_token"
    DEVICE = "device"
    ANONYMOUS = "anonymous"
    COMMAND = "command"
    TASK = "task"
    # A trigger found no setting: SQL of another program, or a thread without a deed.
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, credential, operating system user or task. Names of people are looked up when they are shown."""

    kind: ActorKind
    id: str = ""


@dataclass(slots=True)
class Deed:
    """What one request, command or task does. `find_actor` is called when the first audited statement runs."""

    action: str
    find_actor: Callable[[], Actor]
    request_id: str = ""
    reason: str = ""
    # Joins the audit's rows of one deed. Unlike the request's id, no client can choose it.
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    # Statements sent that can write, to any table.
    writes: int = 0
    is_naming: bool = field(default=False, repr=False)

    def name_actor(self, actor: Actor) -> None:
        """Replace the actor: the request has shown a credential."""
        self.find_actor = lambda: actor

    def serialize(self) -> str:
        """Return the setting's value, which the triggers read."""
        actor = self.find_actor()
        return json.dumps(
            {
                "kind": actor.kind,
                "id": actor.id,
                "action": self.action,
                "reason": self.reason,
                "request_id": self.request_id,
                "deed": str(self.id),
            }
        )


_current: ContextVar[Deed | None] = ContextVar("deed", default=None)
_audited: re.Pattern[str] | None = None
_CAN_WRITE = re.compile(r"\s*(?:WITH\b.*?\b)?(?:INSERT|UPDATE|DELETE|MERGE|TRUNCATE|CREATE|ALTER|DROP|DO)\b", re.DOTALL)


def current_deed() -> Deed | None:
    """Return what this thread does. None: nothing that is audited under a name."""
    return _current.get()


def begin_deed(deed: Deed | None) -> None:
    """Set the deed until the next call: for a task, whose begin and end are two signals."""
    _current.set(deed)


@contextmanager
def acting(deed: Deed) -> Iterator[Deed]:
    """Run the block as this deed."""
    token = _current.set(deed)
    try:
        yield deed
    finally:
        _current.reset(token)


def name_actor(kind: ActorKind, identifier: object) -> None:
    """Name the actor of the current request by the credential that it has shown."""
    deed = _current.get()
    if deed is not None:
        deed.name_actor(Actor(kind, str(identifier)))


def give_reason(reason: str) -> None:
    """Record why the current deed is done, with each row that it changes from now on."""
    deed = _current.get()
    if deed is not None:
        deed.reason = reason


def watch_tables(tables: Collection[str]) -> None:
    """Define the audited tables. Statements that name none of them are sent as they are."""
    global _audited
    names = "|".join(re.escape(table) for table in sorted(tables, key=len, reverse=True))
    _audited = re.compile(rf"\b(?:{names})\b")


def send_deed(execute: Any, sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Django's execute wrapper: set the deed for the transaction of a statement that may write to an audited table.

    The setting ends with the transaction, so no later request of a pooled connection finds it.
    """
    deed = _current.get()
    if deed is None or deed.is_naming or not isinstance(sql, str) or not _CAN_WRITE.match(sql):
        return execute(sql, params, many, context)
    deed.writes += 1
    if _audited is None or not _audited.search(sql):
        return execute(sql, params, many, context)
    connection = context["connection"]
    if connection.in_atomic_block or not connection.get_autocommit():
        return _execute_as(deed, execute, sql, params, many, context)
    with transaction.atomic(using=connection.alias):
        return _execute_as(deed, execute, sql, params, many, context)


def _execute_as(deed: Deed, execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    deed.is_naming = True
    try:
        # May look the user up, on the same connection.
        value = deed.serialize()
    finally:
        deed.is_naming = False
    execute(f"SELECT set_config('{SETTING}', %s, true)", [value], False, context)
    return execute(sql, params, many, context)
