"""What Celery's workers do around a task."""

import psycopg
import pytest
from celery.fixups.django import DjangoWorkerFixup
from django.conf import settings
from django.db import connection

from promotions.celery import app, keep_connection

_ADDRESS = {"host", "port", "user", "password"}


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_worker_keeps_its_connection_from_task_to_task() -> None:
    before = _backend()
    celery = DjangoWorkerFixup(app)

    for _task in range(3):
        celery.close_database()
        keep_connection()

    assert _backend() == before


@pytest.mark.django_db(transaction=True)
def test_the_task_after_a_restart_of_postgresql_gets_another_connection() -> None:
    before = _backend()
    options = {key: value for key, value in connection.get_connection_params().items() if key in _ADDRESS}
    with psycopg.connect(**{**options, "dbname": settings.DATABASES["default"]["NAME"]}, autocommit=True) as server:
        server.execute("SELECT pg_terminate_backend(%s)", [before])

    keep_connection()

    assert _backend() != before
