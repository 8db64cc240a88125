"""A test that turns to another database leaves none of its numbers to the next."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from django.contrib.gis.db.backends.postgis.base import DatabaseWrapper
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from tests.databases import use_database


@pytest.fixture
def other(django_db_setup: None) -> Iterator[str]:
    """A database in which PostGIS's types have other numbers."""
    at, name = connection.settings_dict, f"other_{uuid4().hex}"
    place = {"host": at["HOST"], "port": at["PORT"], "user": at["USER"], "password": at["PASSWORD"]}
    with psycopg.connect(dbname="postgres", autocommit=True, **place) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            with psycopg.connect(dbname=name, **place) as inside:
                inside.execute("CREATE EXTENSION postgis")
            yield name
        finally:
            server.execute(f'DROP DATABASE "{name}"')


def known_and_real() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 'geometry'::regtype::oid::bigint")
        (real,) = cursor.fetchone()
    known = DatabaseWrapper._type_infos["geometry"][connection.alias].oid  # type: ignore[attr-defined]
    return known, real


def test_each_database_has_its_own_numbers_of_types(other: str, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock():
        known, real = known_and_real()
        with use_database(NAME=other):
            known_there, real_there = known_and_real()
        assert known_and_real() == (known, real)
        connection.close()

    assert (known, known_there) == (real, real_there)
    assert real != real_there
