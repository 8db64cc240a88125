"""Checks of PostgreSQL and Redis."""

from collections.abc import Iterator
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError

from promotions import clocks, logins, stream
from promotions.checks import find_migration_faults, find_redis_faults
from promotions.doctor.context import Context
from promotions.logic.diagnosis import (
    PostgresqlFacts,
    RedisFacts,
    Row,
    evaluate_event_log,
    evaluate_postgresql,
    evaluate_redis,
    fault,
    ok,
    unknown,
)
from promotions.logins import Refused, Unavailable
from promotions.services.audit.triggers import find_missing_triggers
from promotions.services.event_partitions import read_partitions

_STATEMENT_TIMEOUT_MS = 5_000
_FACTS = """
SELECT current_setting('server_version_num')::int,
    (SELECT extversion FROM pg_extension WHERE extname = 'postgis'),
    (SELECT default_version FROM pg_available_extensions WHERE name = 'postgis'),
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
    pg_is_in_recovery(),
    current_setting('transaction_read_only') = 'on',
    current_setting('fsync') = 'on',
    (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()),
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int,
    current_setting('max_connections')::int
"""
# A table we cannot read and write, views and tables of extensions aside.
_TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))
ORDER BY 1
"""


def check_postgresql(context: Context) -> Iterator[Row]:
    """Version, PostGIS, role and rights. Errors: Unavailable, Refused."""
    skipped = list(context.explain_skip("DATABASE_URL"))
    if skipped:
        yield from skipped
        return
    try:
        facts = _query_postgresql()
    except psycopg.Error as error:
        cause = logins.explain_postgresql(error)
        yield fault(
            str(cause), "" if isinstance(cause, Refused) else "Start it, or correct host and port in DATABASE_URL."
        )
        return
    yield from evaluate_postgresql(facts, today=context.now.date())


def _query_postgresql() -> PostgresqlFacts:
    with psycopg.connect(**logins.connection_parameters(), autocommit=True) as connection:
        connection.execute(f"SET statement_timeout = {_STATEMENT_TIMEOUT_MS}")
        found: Any = connection.execute(_FACTS).fetchone()
        tables = [name for (name,) in connection.execute(_TABLES).fetchall()]
    version, postgis, offered, is_superuser, may_create, is_standby, is_read_only, is_durable, encoding, used, most = (
        found
    )
    return PostgresqlFacts(
        version=version,
        postgis=postgis,
        postgis_offered=offered,
        is_superuser=is_superuser,
        may_create_tables=may_create,
        tables_without_rights=tables,
        is_standby=is_standby,
        is_read_only=is_read_only,
        is_durable=is_durable,
        encoding=encoding,
        connections=used,
        max_connections=most,
    )


def check_migrations(context: Context) -> Iterator[Row]:
    """Check that the database and the code fit together."""
    skipped = list(context.explain_skip("DATABASE_URL"))
    if skipped:
        yield from skipped
        return
    try:
        # Connect with a separate time limit, which Django's connection does not have.
        logins.require_postgresql()
        faults = find_migration_faults()
    except Unavailable:
        yield unknown("Skipped, because the connection to PostgreSQL failed.")
        return
    yield from (fault(sentence) for sentence in faults)
    if not faults:
        yield ok("All migrations are applied.")


def check_event_log(context: Context) -> Iterator[Row]:
    """Check that the event log has partitions for this month and the next. The job creates later ones in time."""
    skipped = list(context.explain_skip("DATABASE_URL"))
    if skipped:
        yield from skipped
        return
    try:
        logins.require_postgresql()
        partitions = read_partitions()
    except (Unavailable, DatabaseError, InterfaceError):
        yield unknown("Skipped, because the connection to PostgreSQL failed.")
        return
    if partitions is None:
        yield unknown("Skipped, because the table of the event log does not exist yet.")
        return
    yield from evaluate_event_log(partitions.find_missing(now=context.now, ahead=1), partitions.months_in_default)


def check_audit(context: Context) -> Iterator[Row]:
    """Check that each audited table has its triggers, and that the audit is sealed."""
    skipped = list(context.explain_skip("DATABASE_URL"))
    if skipped:
        yield from skipped
        return
    try:
        logins.require_postgresql()
        missing = find_missing_triggers()
    except (Unavailable, DatabaseError, InterfaceError):
        yield unknown("Skipped, because the connection to PostgreSQL failed.")
        return
    if missing is None:
        yield unknown("Skipped, because the table of the audit does not exist yet.")
        return
    remedy = "Find out who switched it off. Then run `manage.py migrate`, or, on the audit itself, ENABLE TRIGGER."
    yield from (fault(f"The trigger {name} on {table} is missing or off.", remedy) for table, name in missing)
    if not missing:
        yield ok("Each change of configuration and rights is recorded.")


def check_redis(context: Context) -> Iterator[Row]:
    """Policy, version, role and memory of the one Redis and of the one that holds the streams."""
    for name in ("REDIS_URL", "STREAM_URL"):
        url = str(getattr(settings, name))
        skipped = list(context.explain_skip(name))
        yield from skipped
        if skipped or not url:
            continue
        try:
            client = stream.hub_client() if name == "REDIS_URL" else stream.sync_client()
            # The streams' Redis must lose nothing; the other one only has data that is sent again.
            if name == "STREAM_URL" or not settings.STREAM_URL:
                yield from (fault(sentence) for sentence in find_redis_faults(client, setting=name))
            for facts in _query_redis(client):
                yield from evaluate_redis(facts, name=name)
        except redis.RedisError as error:
            yield _explain_redis(logins.explain_redis(error, setting=name), name)
        except Unavailable as cause:
            yield _explain_redis(cause, name)


def check_clocks(context: Context) -> Iterator[Row]:
    """Check that the clocks of this machine, PostgreSQL, Redis and all running processes agree."""
    skipped = list(context.explain_skip("DATABASE_URL", "REDIS_URL", "CLOCK_SKEW_MAX_S"))
    if skipped:
        yield from skipped
        return
    try:
        comparison = clocks.compare_all("command")
    except (redis.RedisError, DatabaseError, InterfaceError):
        yield unknown("Skipped, because PostgreSQL or Redis does not answer.")
        return
    for sentence in clocks.describe(comparison):
        yield fault(sentence, "Start the time service of its machine (systemd-timesyncd or chrony).")
    if not comparison.wrong:
        apart_s = max(comparison.skews_s.values()) - min(comparison.skews_s.values())
        yield ok(f"{len(comparison.skews_s)} clocks agree within {apart_s:.1f} s.")


def _explain_redis(cause: Unavailable, name: str) -> Row:
    if isinstance(cause, Refused):
        return fault(str(cause))
    return fault(f"{name}: {cause}", f"Start it, or correct host and port in {name}.")


def _query_redis(client: "redis.Redis") -> list[RedisFacts]:
    """The facts of each node. Errors: RedisError."""
    if isinstance(client, redis.RedisCluster):
        nodes = [node.redis_connection for node in client.get_primaries()]
    else:
        nodes = [client]
    return [_query_node(node) for node in nodes if node is not None]


def _query_node(node: "redis.Redis") -> RedisFacts:
    info: Any = node.info()
    try:
        answer: Any = node.config_get("appendfsync")
    except redis.ResponseError:
        # Services for rent refuse CONFIG.
        answer = {}
    return RedisFacts(
        version=str(info.get("redis_version", "")),
        is_replica=info.get("role") == "slave",
        appendfsync=answer.get("appendfsync"),
        used_bytes=int(info.get("used_memory", 0)),
        max_bytes=int(info.get("maxmemory", 0)),
    )
