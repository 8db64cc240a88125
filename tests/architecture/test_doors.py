"""SQL names a table of another app only in that app's `services/relations.py`."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection

from geofence.services import relations as geofence_relations
from notifications.services import relations as notification_relations
from tests.architecture.trees import read

ROOT = Path(settings.BASE_DIR)
LIBRARIES = ("geofence", "notifications")
RELATIONS = {
    "STORES": geofence_relations.STORES,
    "VISITS": geofence_relations.VISITS,
    "MESSAGES": notification_relations.MESSAGES,
}


def tables(app: str) -> Iterator[str]:
    for model in apps.get_app_config(app).get_models():
        yield model._meta.db_table


def find_named(text: str) -> set[str]:
    """The tables of geofence and notifications that a text names."""
    return set(_compile_named().findall(text))


@cache
def _compile_named() -> re.Pattern[str]:
    names = "|".join(re.escape(table) for app in LIBRARIES for table in tables(app))
    return re.compile(rf"\b(?:{names})\b(?!_)")


@pytest.mark.parametrize("text", ["JOIN geofence_visit visit", "FROM notifications_message", '"geofence_store"."id"'])
def test_a_named_table_is_found(text: str) -> None:
    assert find_named(text)


def test_the_product_names_no_table_of_another_app() -> None:
    named = {
        str(path.relative_to(ROOT)): found
        for path in sorted((ROOT / "promotions").rglob("*.py"))
        if "migrations" not in path.parts and (found := find_named(_without_links(read(path))))
    }

    assert named == {}


def _without_links(text: str) -> str:
    """Without names of admin pages, which have the same form: `admin:geofence_store_changelist`."""
    return re.sub(r"admin:\w+", "", text)


@pytest.mark.django_db
@pytest.mark.parametrize("name", RELATIONS)
def test_a_relation_is_inlined(name: str) -> None:
    """PostgreSQL plans the query on the table itself, so that its indexes serve."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN SELECT count(*) FROM {RELATIONS[name]} relation")
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "Subquery Scan" not in plan
    assert find_named(plan)
