"""When a device was in its cell: a vague fix moves the time of the last fix, and not the cell."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("geofence", "0004_judge_jumps_and_repeats")]

    operations = [
        migrations.AddField(model_name="lastfix", name="cell_at", field=models.DateTimeField(null=True)),
    ]
