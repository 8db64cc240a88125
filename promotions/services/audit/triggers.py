"""The triggers that write the audit, derived from the declarations and installed after each `migrate`.

A table whose trigger is as declared is not touched, so a `migrate` that changes nothing locks nothing.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Field, Model

from promotions.database import acting
from promotions.models import AuditRecord
from promotions.row_policies.audits import AuditedTable, list_audited

FUNCTION = "promotions_record_change"
_PREFIX = "promotions_audit_"
_ROWS, _CHANGES = f"{_PREFIX}rows", f"{_PREFIX}changes"
# They refuse changes of the audit itself; a migration makes them.
_SEALS = ("promotions_auditrecord_sealed", "promotions_auditrecord_kept")


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger as declared. Its comment in the database is `mark`, by which a change of the declaration is found."""

    table: str
    name: str
    definition: str

    @property
    def mark(self) -> str:
        """A digest of the definition."""
        return hashlib.sha256(self.definition.encode()).hexdigest()[:32]


def watch_audited_tables() -> None:
    """Define for the connections of this process which statements need the actor."""
    acting.watch_tables([table.model._meta.db_table for table in list_audited()])


def list_triggers() -> list[Trigger]:
    """Return the triggers that the declarations require."""
    return [trigger for table in list_audited() for trigger in _make_triggers(table)]


def install_triggers() -> None:
    """Create missing and changed triggers, drop surplus ones. Repeatable. A short lock of each table that differs.

    Tables that do not exist yet are left out, and so is everything before the migration that makes the audit.
    """
    declared = {(trigger.table, trigger.name): trigger for trigger in list_triggers()}
    with connection.cursor() as cursor:
        if not _exists(cursor):
            return
        installed = _read_installed(cursor)
        cursor.execute("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid)")
        tables = {name for (name,) in cursor.fetchall()}
    for key, trigger in declared.items():
        if trigger.table in tables and installed.get(key) != (trigger.mark, "O"):
            _install(trigger)
    for table, name in installed.keys() - declared.keys():
        with connection.cursor() as cursor:
            cursor.execute(f'DROP TRIGGER "{name}" ON "{table}"')


def find_missing_triggers() -> list[tuple[str, str]] | None:
    """Return the tables and names of triggers that are missing, switched off or other than declared.

    What their tables lose is not recorded, or the audit can be altered. None before the migration that makes the audit.
    """
    with connection.cursor() as cursor:
        if not _exists(cursor):
            return None
        installed = _read_installed(cursor)
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgname = ANY (%s) AND tgenabled = 'O'", [list(_SEALS)])
        seals = {name for (name,) in cursor.fetchall()}
    differing = [
        (each.table, each.name)
        for each in list_triggers()
        if installed.get((each.table, each.name)) != (each.mark, "O")
    ]
    return [*differing, *((AuditRecord._meta.db_table, name) for name in _SEALS if name not in seals)]


def _exists(cursor: Any) -> bool:
    cursor.execute("SELECT to_regproc(%s) IS NOT NULL", [FUNCTION])
    return bool(cursor.fetchone()[0])


def _read_installed(cursor: Any) -> dict[tuple[str, str], tuple[str, str]]:
    cursor.execute(_INSTALLED_SQL, [_PREFIX])
    return {(table, name): (mark, state) for table, name, mark, state in cursor.fetchall()}


def _install(trigger: Trigger) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(trigger.definition)
        cursor.execute(f'ALTER TABLE "{trigger.table}" ENABLE TRIGGER {trigger.name}')
        cursor.execute(f"COMMENT ON TRIGGER {trigger.name} ON \"{trigger.table}\" IS '{trigger.mark}'")


def _make_triggers(table: AuditedTable) -> Iterator[Trigger]:
    audit = table.audit
    call = f"EXECUTE FUNCTION {FUNCTION}({', '.join(_quote(value) for value in _list_arguments(table))})"
    on = f'ON "{table.model._meta.db_table}" FOR EACH ROW'
    others = [operation.upper() for operation in audit.operations if operation != "update"]
    if others:
        yield _define(table, _ROWS, f"AFTER {' OR '.join(others)} {on} {call}")
    if "update" in audit.operations:
        yield _define(table, _CHANGES, f"AFTER UPDATE {on} WHEN ({_make_condition(table)}) {call}")


def _define(table: AuditedTable, name: str, rest: str) -> Trigger:
    return Trigger(table.model._meta.db_table, name, f"CREATE OR REPLACE TRIGGER {name} {rest}")


def _make_condition(table: AuditedTable) -> str:
    """Return the condition under which an update is recorded. Its cost is all that an ignored update pays."""
    if table.audit.only:
        return " OR ".join(f'OLD."{column}" IS DISTINCT FROM NEW."{column}"' for column in table.audit.only)
    # Names no column of the table: PostgreSQL would refuse to drop or alter one that a trigger names.
    ignored = ", ".join(_quote(column) for column in table.audit.ignored)
    if not ignored:
        return "OLD.* IS DISTINCT FROM NEW.*"
    return f"(to_jsonb(OLD.*) - ARRAY[{ignored}]) IS DISTINCT FROM (to_jsonb(NEW.*) - ARRAY[{ignored}])"


def _list_arguments(table: AuditedTable) -> Sequence[str]:
    model, audit = table.model, table.audit
    parent = _find_field(model, audit.parent) if audit.parent else None
    owner = table.owner
    return (
        model._meta.label_lower,
        str(model._meta.pk.column),
        audit.label or "",
        ",".join(audit.sealed),
        ",".join(audit.ignored),
        ",".join(audit.only),
        parent.related_model._meta.label_lower if parent is not None else "",
        audit.parent or "",
        _select(model, owner.brand) if owner.brand else "",
        _select(model, owner.partner) if owner.partner and not owner.partners_only_view else "",
    )


def _select(model: type[Model], path: str) -> str:
    """Return the query of a path's value, with the changed row as the JSON object `$1`."""
    first, *others = path.split("__")
    field = _get_field(model, first)
    value = f"($1->>'{field.column}')::{_cast(field)}"
    for name in others:
        field_of = _get_field(field.related_model, name)
        table, key = field.related_model._meta.db_table, field.related_model._meta.pk.column
        value = f'(SELECT "{field_of.column}" FROM "{table}" WHERE "{key}" = {value})'
        field = field_of
    return f"SELECT {value}"


def _get_field(model: type[Model], name: str) -> Any:
    return model._meta.pk if name == "pk" else model._meta.get_field(name.removesuffix("_id"))


def _find_field(model: type[Model], column: str) -> Any:
    return next(field for field in model._meta.concrete_fields if field.column == column)


def _cast(field: "Field[Any, Any]") -> str:
    return str(field.rel_db_type(connection))


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_INSTALLED_SQL = """
SELECT relname, tgname, coalesce(obj_description(t.oid, 'pg_trigger'), ''), tgenabled
FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
WHERE starts_with(tgname, %s) AND NOT tgisinternal AND pg_table_is_visible(c.oid)
"""
