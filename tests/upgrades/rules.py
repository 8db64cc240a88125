"""Rules for migrations: what a new one must not do while the release before it goes on serving.

squawk reads the SQL and finds the locks. What the SQL does not show is found on Django's operations: which columns the
release before still reads, whether the way back exists, and what Django does in Python only.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from django.contrib.postgres.operations import NotInTransactionMixin
from django.db import migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Field
from django.db.models.fields import NOT_PROVIDED

APPS = ("geofence", "notifications", "promotions")
RELEASED = Path(__file__).with_name("released.toml")
OLDEST_POSTGRESQL = "14.0"
# Matters of taste, what the connection sets (timeouts), and what the rules below check with more knowledge (drops).
EXCLUDED = (
    "ban-char-field",
    "ban-drop-column",
    "ban-drop-table",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "require-lock-timeout",
    "require-statement-timeout",
)
REMEDIES = {
    "irreversible": "Give the operation a way back (`reverse_code`, `reverse_sql`).",
    "data-with-schema": "Move the data into a separate migration: it runs long, and would keep the schema's lock.",
    "concurrently-in-transaction": "Set `atomic = False` on the migration.",
    "several-steps-without-transaction": "Give each step a separate migration: half of this one could stay.",
    "no-database-default": "Give the field a `db_default`: the release before inserts rows without this column.",
    "set-not-null": "Add a check `IS NOT NULL` as NOT VALID, validate it in a later migration, then give the reason in "
    "`allowed`: PostgreSQL takes a validated check as proof and does not scan.",
    "dropped-while-read": "Take it out of the models first (`SeparateDatabaseAndState`, state only), and drop it in "
    "the release after.",
    "drop-without-release": "End the migration's name with `{suffix}`: older releases then refuse to start.",
    "removed-but-required": "Give the column a default or make it nullable first: the new code inserts without it.",
    "unused-allowance": "Remove it from `allowed`.",
    "allowance-without-reason": "Write a sentence of 20 characters or more on why it blocks nothing.",
    # squawk's, in Django's words.
    "require-concurrent-index-creation": "Use `AddIndexConcurrently` in a migration with `atomic = False`.",
    "require-concurrent-index-deletion": "Use `RemoveIndexConcurrently` in a migration with `atomic = False`.",
    "constraint-missing-not-valid": "Use `AddConstraintNotValid`, and `ValidateConstraint` in the next migration.",
    "adding-foreign-key-constraint": "Add the column with `db_constraint=False` and `db_index=False`, then the index "
    "concurrently, then the key as NOT VALID, then validate it: a migration each.",
    "disallowed-unique-constraint": "Create the unique index CONCURRENTLY, then the constraint `USING INDEX`.",
    "renaming-column": "Add the new column, write both, copy, read the new one, and drop the old one a release later.",
    "renaming-table": "Keep the table's name with `db_table`.",
    "changing-column-type": "Add a column of the new type. Where PostgreSQL changes its catalogue only (a longer "
    "varchar), say so in `allowed`.",
}

_ECHOES = {
    # Django sets a default and drops it again.
    "no-database-default": ("ban-drop-default", "adding-required-field"),
    "set-not-null": ("adding-not-nullable-field",),
}

_DATA = re.compile(r"^\s*(INSERT|UPDATE|DELETE|MERGE|COPY|WITH)\b", re.IGNORECASE)
_NAME = r'"?(?:\w+"?\."?)?(?P<table>\w+)"?'
_DROP_COLUMN = re.compile(
    rf'ALTER TABLE (?:IF EXISTS )?{_NAME} .*?\bDROP COLUMN (?:IF EXISTS )?"?(?P<column>\w+)', re.IGNORECASE | re.DOTALL
)
_DROP_TABLE = re.compile(rf"DROP TABLE (?:IF EXISTS )?{_NAME}", re.IGNORECASE)
_CREATE_TABLE = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{_NAME}", re.IGNORECASE)
_ON_TABLE = re.compile(rf"(?:ALTER TABLE|CREATE (?:UNIQUE )?INDEX \S+ ON) {_NAME}", re.IGNORECASE)
_SET_NOT_NULL = re.compile(rf"ALTER TABLE {_NAME} .*\bSET NOT NULL", re.IGNORECASE)
_MIN_REASON_CHARS = 20


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """A rule that a migration breaks, what breaks it, and the remedy."""

    migration: str
    rule: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.migration}: {self.rule}: {self.found} {self.remedy}"


@dataclass(frozen=True, slots=True)
class Release:
    """The release before: its number, its migrations, and the columns that its models read, by table."""

    version: str
    names: frozenset[str]
    columns: Mapping[str, frozenset[str]]

    @property
    def suffix(self) -> str:
        """Return the end of a name that `promotions.checks` reads as "needs this release or a newer one"."""
        return "_needs_" + self.version.replace(".", "_")


def read_release(loader: MigrationLoader, path: Path = RELEASED) -> Release:
    """Read the list of released migrations and compute what their models read."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))
    names = frozenset(listed["migrations"])
    state = loader.project_state([key for key in loader.graph.nodes if _title(*key) in names], at_end=True)
    return Release(listed["release"], names, read_columns(state))


def read_columns(state: ProjectState) -> dict[str, frozenset[str]]:
    """Return the columns of each table that the models of a state read."""
    columns: dict[str, frozenset[str]] = {}
    for model in state.apps.get_models(include_auto_created=True):
        columns[model._meta.db_table] = frozenset(field.column for field in model._meta.local_concrete_fields)
    return columns


def find_project_faults(loader: MigrationLoader, release: Release, connection: BaseDatabaseWrapper) -> list[Fault]:
    """Return every fault of the project's migrations that are not released yet."""
    faults: list[Fault] = []
    state = ProjectState()
    # One state, moved on from each migration to the next.
    for key in dict.fromkeys(key for leaf in loader.graph.leaf_nodes() for key in loader.graph.forwards_plan(leaf)):
        migration = loader.disk_migrations[key]
        if key[0] in APPS and _title(*key) not in release.names:
            faults += find_faults(migration, state.clone(), release, connection)
        migration.mutate_state(state, preserve=False)
    return faults


def find_faults(
    migration: migrations.Migration, before: ProjectState, release: Release, connection: BaseDatabaseWrapper
) -> list[Fault]:
    """Return what a migration does that would block, break or strand the release before; allowed rules left out."""
    title = _title(migration.app_label, migration.name)
    found = [*_check_operations(migration, before)]
    # Django refuses to write the SQL of a concurrent operation inside a transaction.
    if not any(rule == "concurrently-in-transaction" for rule, _ in found):
        statements = collect_sql(migration, before, connection)
        found += _check_drops(statements, migration.name, release)
        found += _check_not_null(statements, before)
        found += run_squawk(statements, is_atomic=migration.atomic)
    found = _drop_echoes(found)
    allowed: Mapping[str, str] = getattr(migration, "allowed", {})
    faults = {_fault(title, rule, what, release) for rule, what in found if rule not in allowed}
    rules = {rule for rule, _ in found}
    for rule, reason in allowed.items():
        if rule not in rules:
            faults.add(_fault(title, "unused-allowance", f"`{rule}` is allowed and does not occur.", release))
        elif len(reason) < _MIN_REASON_CHARS:
            faults.add(_fault(title, "allowance-without-reason", f"`{rule}` is allowed without a reason.", release))
    return sorted(faults)


def collect_sql(
    migration: migrations.Migration, before: ProjectState, connection: BaseDatabaseWrapper
) -> Sequence[str]:
    """Return the statements a migration sends, comments left out."""
    with connection.schema_editor(collect_sql=True, atomic=migration.atomic) as editor:
        migration.apply(before.clone(), editor, collect_sql=True)
    return [text for text in editor.collected_sql if not text.startswith("--")]


def run_squawk(statements: Sequence[str], *, is_atomic: bool) -> list[tuple[str, str]]:
    """Return rule and finding of each statement that takes a lock it must not take; new tables are left out."""
    text = "\n".join(_without_new_tables(statements))
    if not text:
        return []
    command = [
        str(Path(sys.executable).with_name("squawk")),
        *("--reporter", "json", "--pg-version", OLDEST_POSTGRESQL, f"--exclude={','.join(EXCLUDED)}"),
        *(["--assume-in-transaction"] if is_atomic else []),
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode not in {0, 1} or not done.stdout.strip():
        raise RuntimeError(f"squawk failed with code {done.returncode}: {done.stderr.strip()}")
    lines = text.splitlines()
    return [(one["rule_name"], _sentence(one, lines[one["line"]])) for one in json.loads(done.stdout)]


def _without_new_tables(statements: Sequence[str]) -> list[str]:
    """No session waits for a lock on a table that the same migration makes."""
    new = {made["table"] for text in statements if (made := _CREATE_TABLE.match(text))}
    return [text for text in statements if not ((on := _ON_TABLE.match(text)) and on["table"] in new)]


def _sentence(finding: Mapping[str, Any], statement: str) -> str:
    advice = "" if finding["rule_name"] in REMEDIES or not finding["help"] else f" {finding['help']}."
    return f"{finding['message']}{advice} [{shorten(statement, 120, placeholder='…')}]"


def _check_operations(migration: migrations.Migration, before: ProjectState) -> Iterator[tuple[str, str]]:
    operations = list(_flatten(migration.operations))
    for operation in operations:
        name = operation.describe()
        if not operation.reversible:
            yield "irreversible", f"“{name}” cannot be taken back."
        if migration.atomic and _is_concurrent(operation):
            yield "concurrently-in-transaction", f"“{name}” does not run inside a transaction."
    data = [operation for operation in operations if _is_data(operation)]
    if data and len(data) < len(operations):
        yield "data-with-schema", f"“{data[0].describe()}” changes rows beside changes of the schema."
    if not migration.atomic and len(operations) > 1:
        yield "several-steps-without-transaction", f"{len(operations)} steps run separately."
    yield from _check_fields(migration, before)


def _check_fields(migration: migrations.Migration, before: ProjectState) -> Iterator[tuple[str, str]]:
    for operation in _flatten(migration.operations):
        if isinstance(operation, migrations.AddField):
            is_old_table = (migration.app_label, operation.model_name_lower) in before.models
            if is_old_table and _is_required(operation.field):
                yield "no-database-default", f"{operation.model_name}.{operation.name} is NOT NULL without a default."
    for operation in migration.operations:
        for inner in getattr(operation, "state_operations", ()):
            if isinstance(inner, migrations.RemoveField):
                model = before.models[migration.app_label, inner.model_name_lower]
                if _is_required(model.fields[inner.name]):
                    yield "removed-but-required", f"{inner.model_name}.{inner.name} stays NOT NULL without a default."


def _check_drops(statements: Sequence[str], name: str, release: Release) -> Iterator[tuple[str, str]]:
    is_dropping = False
    for text in statements:
        if dropped := _DROP_COLUMN.search(text):
            is_dropping = True
            if dropped["column"] in release.columns.get(dropped["table"], ()):
                what = f"{dropped['table']}.{dropped['column']} is still read by release {release.version}."
                yield "dropped-while-read", what
        elif dropped := _DROP_TABLE.search(text):
            is_dropping = True
            if dropped["table"] in release.columns:
                yield "dropped-while-read", f"{dropped['table']} is still read by release {release.version}."
    if is_dropping and not name.endswith(release.suffix):
        yield "drop-without-release", f"“{name}” does not say which release stopped reading what it drops."


def _check_not_null(statements: Sequence[str], before: ProjectState) -> Iterator[tuple[str, str]]:
    found = [altered for text in statements if (altered := _SET_NOT_NULL.search(text))]
    tables = read_columns(before) if found else {}
    for altered in found:
        if altered["table"] in tables:
            yield "set-not-null", f"{altered['table']} is scanned under a lock that stops reads and writes."


def _flatten(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Yield what touches the database or is alone: the database's part of a separated operation."""
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _flatten(operation.database_operations)
        else:
            yield operation


def _is_concurrent(operation: Operation) -> bool:
    return isinstance(operation, NotInTransactionMixin) or any(
        "CONCURRENTLY" in text.upper() for text in _texts(operation)
    )


def _is_data(operation: Operation) -> bool:
    return isinstance(operation, migrations.RunPython) or any(_DATA.match(text) for text in _texts(operation))


def _texts(operation: Operation) -> list[str]:
    """Return the statements of a `RunSQL`; nothing for another operation."""
    if not isinstance(operation, migrations.RunSQL):
        return []
    given = operation.sql if isinstance(operation.sql, list | tuple) else [operation.sql]
    return [str(one if isinstance(one, str) else one[0]) for one in given]


def _is_required(field: Field[Any, Any]) -> bool:
    """Return whether an INSERT that leaves the column out fails."""
    has_column = not field.many_to_many
    is_filled = field.null or field.db_default is not NOT_PROVIDED or getattr(field, "generated", False)
    return has_column and not is_filled


def _drop_echoes(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave out squawk's words for what a rule of our own reports with the name of the field or table."""
    named = {rule for rule, _ in found}
    echoes = {echo for rule, echoes in _ECHOES.items() if rule in named for echo in echoes}
    return [(rule, what) for rule, what in found if rule not in echoes]


def _fault(title: str, rule: str, found: str, release: Release) -> Fault:
    return Fault(title, rule, found, REMEDIES.get(rule, "").format(suffix=release.suffix))


def _title(app_label: str, name: str) -> str:
    return f"{app_label}.{name}"
