"""The event log, partitioned by month. Partitions of months are made later; until then the default one takes all rows.

Rows cannot be altered. They can be deleted only by an erasure, which says so in its transaction, or with their month.
"""

import django.db.models.deletion
from django.db import migrations, models

# `position` has a sequence of the parent and no identity column: partitions must share it.
FORWARDS = """
CREATE SEQUENCE promotions_event_position_seq;

CREATE TABLE promotions_event (
    id uuid NOT NULL,
    position bigint NOT NULL DEFAULT nextval('promotions_event_position_seq'),
    kind varchar(40) NOT NULL,
    occurred_at timestamptz NOT NULL,
    device_id uuid NOT NULL,
    campaign_id bigint,
    store_id bigint,
    payload jsonb NOT NULL,
    PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);

ALTER SEQUENCE promotions_event_position_seq OWNED BY promotions_event.position;

CREATE INDEX promotions_event_device ON promotions_event (device_id, occurred_at);
CREATE INDEX promotions_event_position ON promotions_event (position);
CREATE TABLE promotions_event_default PARTITION OF promotions_event DEFAULT;

CREATE FUNCTION promotions_seal_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('doorstep.erasure', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the event log is append-only' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER promotions_event_sealed BEFORE UPDATE OR DELETE ON promotions_event
    FOR EACH ROW EXECUTE FUNCTION promotions_seal_event();
"""

BACKWARDS = """
DROP TABLE promotions_event;
DROP FUNCTION promotions_seal_event();
"""


class Migration(migrations.Migration):
    dependencies = [("geofence", "0006_name_last_fixes"), ("promotions", "0023_name_segments")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(FORWARDS, BACKWARDS)],
            state_operations=[
                migrations.CreateModel(
                    name="Event",
                    fields=[
                        ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ("position", models.BigIntegerField(editable=False)),
                        ("kind", models.CharField(max_length=40)),
                        ("occurred_at", models.DateTimeField()),
                        ("device_id", models.UUIDField()),
                        ("payload", models.JSONField()),
                        (
                            "campaign",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="promotions.campaign",
                            ),
                        ),
                        (
                            "store",
                            models.ForeignKey(
                                db_constraint=False,
                                db_index=False,
                                null=True,
                                on_delete=django.db.models.deletion.DO_NOTHING,
                                related_name="+",
                                to="geofence.store",
                            ),
                        ),
                    ],
                    options={
                        "indexes": [
                            models.Index(fields=["device_id", "occurred_at"], name="promotions_event_device"),
                            models.Index(fields=["position"], name="promotions_event_position"),
                        ],
                    },
                ),
            ],
        ),
    ]
