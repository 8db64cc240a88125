"""Rows that every batch rewrites stay on their page and out of the indexes (heap-only tuples): half the cost."""

from django.db import migrations

# Room for one newer version of each row beside it; until then vacuum or the next reader of the page clears the older.
_TABLES = {"geofence_lastfix": 50, "geofence_presence": 50, "geofence_visit": 70}

FORWARDS = ";".join(f"ALTER TABLE {table} SET (fillfactor = {percent})" for table, percent in _TABLES.items())
BACKWARDS = ";".join(f"ALTER TABLE {table} RESET (fillfactor)" for table in _TABLES)


class Migration(migrations.Migration):
    dependencies = [("geofence", "0002_watch_fences")]

    operations = [
        migrations.RemoveIndex(model_name="lastfix", name="geofence_lastfix_received"),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
