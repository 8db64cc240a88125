"""Empty the database after a test that commits, without Django's `flush`.

`flush` truncates every table and creates all permissions again: 0.3 s, where most tests leave rows in a few tables.
"""

from typing import Any

from django.db import connection

# Rows of the migrations and of the signal after them. They stay, except groups that a test made.
_KEPT = (
    "auth_group",
    "auth_group_permissions",
    "auth_permission",
    "django_content_type",
    "django_migrations",
    "spatial_ref_sys",
)
# As on a replica: no trigger of ours refuses (those of the ledgers do) or writes (those of the audit do), and no
# foreign key is checked, so the order does not matter.
_DELETE_ROWS = """
DO $$
DECLARE
    name regclass;
    has_rows boolean;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN
        SELECT oid FROM pg_class
        WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
            AND relname != ALL ({kept})
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', name) INTO has_rows;
        IF has_rows THEN
            EXECUTE format('DELETE FROM %s', name);
        END IF;
    END LOOP;
    DELETE FROM auth_group_permissions WHERE group_id > {last_group};
    DELETE FROM auth_group WHERE id > {last_group};
END $$
"""


def find_last_group() -> int:
    """Return the highest id of the groups that the migrations made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM auth_group")
        last: int = cursor.fetchone()[0]
    return last


def delete_rows(last_group: int) -> None:
    """Delete the rows of all tables but those that `migrate` fills."""
    with connection.cursor() as cursor:
        kept = "ARRAY[" + ", ".join(f"'{name}'" for name in _KEPT) + "]"
        cursor.execute(_DELETE_ROWS.format(kept=kept, last_group=last_group))


def make_teardown() -> Any:
    """Return a `_fixture_teardown` for Django's `TransactionTestCase`."""
    last_group = find_last_group()
    return lambda _self: delete_rows(last_group)
