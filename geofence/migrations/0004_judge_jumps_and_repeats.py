"""What the evidence of a false position leaves on the last fix."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("geofence", "0003_leave_room_for_updates"),
    ]

    operations = [
        migrations.AddField(
            model_name="lastfix",
            name="jump_hold_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="lastfix",
            name="point_digest",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="lastfix",
            name="repeats",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
