"""The fence set's number, raised by the database on every edit, whoever makes it and however."""

from django.db import migrations

FORWARDS = """
INSERT INTO geofence_fenceset (id, version) VALUES (1, 1) ON CONFLICT DO NOTHING;

CREATE FUNCTION geofence_raise_fence_set() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Also when the one row was lost, as to TRUNCATE: an edit that goes unseen would be worse.
    INSERT INTO geofence_fenceset AS f (id, version) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET version = f.version + 1;
    RETURN NULL;
END $$;

CREATE TRIGGER geofence_geofence_edited AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON geofence_geofence
    FOR EACH STATEMENT EXECUTE FUNCTION geofence_raise_fence_set();
CREATE TRIGGER geofence_store_edited AFTER UPDATE OR DELETE ON geofence_store
    FOR EACH STATEMENT EXECUTE FUNCTION geofence_raise_fence_set();
"""

BACKWARDS = """
DROP TRIGGER geofence_store_edited ON geofence_store;
DROP TRIGGER geofence_geofence_edited ON geofence_geofence;
DROP FUNCTION geofence_raise_fence_set();
DELETE FROM geofence_fenceset;
"""


class Migration(migrations.Migration):
    dependencies = [("geofence", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
