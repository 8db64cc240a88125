"""Figures of a database, for a comparison of two: rows, sequences, and constraints."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from psycopg import sql

from promotions.management.drill.lines import Database, Line

# The same rows must read the same in both.
_SESSION = """
SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'iso_8601'; SET extra_float_digits = 1;
SET bytea_output = 'hex'; SET search_path = public; SET statement_timeout = 0; SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = 0
"""
_OWN = """
n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = {catalog}::regclass AND d.objid = {object}.oid AND d.deptype = 'e')
"""
_TABLES_SQL = f"""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND {_OWN.format(catalog="'pg_class'", object="c")} ORDER BY 1, 2
"""
# The sums do not depend on the order of the rows, which two databases need not share; a row that is missing, changed
# or doubled moves both.
_DIGEST_SQL = """
SELECT count(*), coalesce(sum(('x' || left(d, 16))::bit(64)::bigint::numeric), 0),
    coalesce(sum(('x' || right(d, 16))::bit(64)::bigint::numeric), 0)
FROM (SELECT md5(t::text) AS d FROM {table} t) rows
"""
_KEY_SQL = """
SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indisprimary AND i.indrelid = %s::regclass
"""
_ROWS_SQL = 'SELECT ({key})::text COLLATE "C", md5(t::text) FROM {table} t ORDER BY 1'
_SEQUENCES_SQL = "SELECT sequencename, coalesce(last_value, 0) FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
_GUARDS: Mapping[str, str] = {
    "columns": f"""
        SELECT format('%s.%s %s%s %s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attnotnull THEN ' not null' END, a.attidentity, pg_get_expr(e.adbin, e.adrelid))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef e ON e.adrelid = c.oid AND e.adnum = a.attnum
        WHERE c.relkind IN ('r', 'v', 'm', 'p') AND {_OWN.format(catalog="'pg_class'", object="c")}""",
    "constraints": f"""
        SELECT format('%s.%s %s', c.relname, o.conname, pg_get_constraintdef(o.oid)) FROM pg_constraint o
        JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE o.contype <> 'n' AND {_OWN.format(catalog="'pg_class'", object="c")}""",
    "indexes": f"""
        SELECT format('%s%s', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN ' invalid' END)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm', 'p') AND {_OWN.format(catalog="'pg_class'", object="c")}""",
    "triggers": f"""
        SELECT pg_get_triggerdef(g.oid) FROM pg_trigger g
        JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE NOT g.tgisinternal AND {_OWN.format(catalog="'pg_class'", object="c")}""",
    "functions": f"""
        SELECT format('%s(%s) %s', p.proname, pg_get_function_identity_arguments(p.oid), md5(p.prosrc)) FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_OWN.format(catalog="'pg_proc'", object="p")}""",
    "extensions": "SELECT extname FROM pg_extension",
}
_CASTS = re.compile(r"::[a-z]+( [a-z]+)*(\[\])?|[()]")
_SHOWN = 3
_SHOWN_CHARS = 200

Table = tuple[str, str]
Pair = tuple[Database, Database]


@dataclass(frozen=True, slots=True)
class Content:
    """The figures of one database at one moment."""

    digests: Mapping[Table, tuple[Any, ...]]
    guards: Mapping[str, frozenset[str]]
    migrations: frozenset[str]


def settle_session(database: Database) -> None:
    """Make this connection write values as every other one does, and wait for no lock for long."""
    database.execute(_SESSION)


def read_content(database: Database) -> Content:
    """Read every table of our own once."""
    tables: list[Any] = database.execute(_TABLES_SQL.encode()).fetchall()
    digests = {(schema, name): _digest(database, (schema, name)) for schema, name in tables}
    guards = {what: _read_texts(database, query) for what, query in _GUARDS.items()}
    applied = _read_texts(database, "SELECT app || '.' || name FROM django_migrations")
    return Content(digests, guards, applied)


def read_sequences(database: Database) -> dict[str, int]:
    """Read where each sequence is. They belong to no snapshot."""
    return {str(name): int(value) for name, value in database.execute(_SEQUENCES_SQL.encode()).fetchall()}


def compare_contents(source: Content, copy: Content, databases: Pair) -> Iterator[Line]:
    """Yield a line per table and per kind of guard."""
    for table in sorted({*source.digests, *copy.digests}):
        yield _compare_table(table, source, copy, databases)
    for what, found in source.guards.items():
        yield _compare_texts(what, found, copy.guards[what])
    yield _compare_texts("migrations applied", source.migrations, copy.migrations)


def compare_sequences(before: Mapping[str, int], after: Mapping[str, int], copy: Mapping[str, int]) -> Line:
    """Return one line for all: the copy's value is between the source's before and after the dump."""
    off = [name for name in before if not before[name] <= copy.get(name, -1) <= after.get(name, before[name])]
    missing = f"; differ: {', '.join(off[:_SHOWN])}" if off else ""
    return Line("sequences", not off, f"{len(copy)} of {len(before)}{missing}")


def describe_content(copy: Content) -> Iterator[Line]:
    """Yield the figures of a copy without its source: a table per line, nothing to compare with."""
    for (_schema, name), digest in sorted(copy.digests.items()):
        yield Line(f"table {name}", True, f"{digest[0]:,} rows")


def _compare_table(
    table: Table,
    source: Content,
    copy: Content,
    databases: Pair,
) -> Line:
    what = f"table {table[1]}"
    ours, theirs = source.digests.get(table), copy.digests.get(table)
    if ours is None or theirs is None:
        return Line(what, False, "missing in the copy" if theirs is None else "in the copy only")
    if ours == theirs:
        return Line(what, True, f"{ours[0]:,} rows")
    return Line(what, False, f"{ours[0]:,} rows, in the copy {theirs[0]:,}: {_find_rows(table, databases)}")


def _compare_texts(what: str, ours: frozenset[str], theirs: frozenset[str]) -> Line:
    missing, extra = _unlike(ours, theirs), _unlike(theirs, ours)
    parts = [f"{len(theirs)} of {len(ours)}"]
    parts += [f"missing: {_some(missing)}"] if missing else []
    parts += [f"in the copy only: {_some(extra)}"] if extra else []
    return Line(what, not missing and not extra, "; ".join(parts))


def _unlike(some: frozenset[str], others: frozenset[str]) -> list[str]:
    """Return what only `some` has.

    PostgreSQL writes the casts of an expression in another way once it has read it from a dump.
    """
    apart, plain = some - others, {_CASTS.sub("", text) for text in others - some}
    return sorted(text for text in apart if _CASTS.sub("", text) not in plain)


def _find_rows(table: Table, databases: Pair) -> str:
    """Return the keys of rows that differ, without their contents: some of each kind, and how many."""
    missing, extra, changed = list[str](), list[str](), list[str]()
    ours, theirs = (_walk(database, table) for database in databases)
    left, right = next(ours, None), next(theirs, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            missing.append(left[0] if left else "")
            left = next(ours, None)
        elif left is None or right[0] < left[0]:
            extra.append(right[0])
            right = next(theirs, None)
        else:
            if left[1] != right[1]:
                changed.append(left[0])
            left, right = next(ours, None), next(theirs, None)
    kinds = (("missing", missing), ("changed", changed), ("in the copy only", extra))
    return "; ".join(f"{len(keys):,} {kind} ({_some(keys)})" for kind, keys in kinds if keys)


def _walk(database: Database, table: Table) -> Iterator[tuple[str, str]]:
    name = sql.Identifier(*table)
    key: Any = database.execute(_KEY_SQL, [name.as_string(database)]).fetchone()
    columns = sql.SQL(key[0] or "t.*")
    with database.transaction(), database.cursor(name="drill") as cursor:
        cursor.execute(sql.SQL(_ROWS_SQL).format(key=columns, table=name))
        for row in cursor:
            yield str(row[0]), str(row[1])


def _digest(database: Database, table: Table) -> tuple[Any, ...]:
    row = database.execute(sql.SQL(_DIGEST_SQL).format(table=sql.Identifier(*table))).fetchone()
    assert row is not None  # an aggregate always has one
    return row


def _read_texts(database: Database, query: str) -> frozenset[str]:
    return frozenset(str(row[0]) for row in database.execute(query.encode()).fetchall())


def _some(texts: Sequence[str]) -> str:
    shown = ", ".join(shorten(text, _SHOWN_CHARS, placeholder="…") for text in texts[:_SHOWN])
    return shown if len(texts) <= _SHOWN else f"{shown}, …"
