"""An erasure by the release before deletes the device, but knows no event log: a trigger deletes the device's events."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION promotions_erase_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM promotions_event WHERE device_id = OLD.id;
    RETURN NULL;
END $$;

CREATE TRIGGER promotions_device_erases_events AFTER DELETE ON promotions_device
    FOR EACH ROW WHEN (current_setting('doorstep.erasure', true) = 'on') EXECUTE FUNCTION promotions_erase_events();
"""

BACKWARDS = """
DROP TRIGGER promotions_device_erases_events ON promotions_device;
DROP FUNCTION promotions_erase_events();
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0024_log_events")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
