"""Migrated once for a whole run: every database of the tests is a copy of one template."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from psycopg import sql

from tests.databases import use_database

# Processes of one run share the template; another run at the same server has its own.
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid4().hex
NAME = f"template_{RUN}"
_UNFINISHED = f"{NAME}_unfinished"
_LOCK = 7_043_712


def connect_to_server(*, timeout_s: int = 30) -> "psycopg.Connection[tuple[Any, ...]]":
    """A connection to the server of the tests that belongs to none of their databases."""
    at = settings.DATABASES["default"]
    return psycopg.connect(
        dbname="postgres",
        host=at["HOST"],
        port=at["PORT"],
        user=at["USER"],
        password=at["PASSWORD"],
        autocommit=True,
        connect_timeout=timeout_s,
    )


def make_template() -> str:
    """Return the migrated template, made by the first process of this run that asks; the others wait for it."""
    with closing(connect_to_server()) as server:
        # Locked until this connection closes.
        server.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        if server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
            return NAME
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(_UNFINISHED)))
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_UNFINISHED)))
        with use_database(NAME=_UNFINISHED):
            call_command("migrate", verbosity=0)
            # Each test begins with an empty audit.
            with connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = replica; DELETE FROM promotions_auditrecord")
            connection.close()
        server.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(_UNFINISHED), sql.Identifier(NAME))
        )
    return NAME


@contextmanager
def copied(template: str, name: str) -> Iterator[None]:
    """Copy a template for processes that a test starts; drop the copy in the end, even if one still uses it."""
    with closing(connect_to_server()) as server:
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield
        finally:
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def drop_template() -> None:
    """Remove the template, if one was made."""
    with closing(connect_to_server(timeout_s=2)) as server:
        for name in (NAME, _UNFINISHED):
            server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
