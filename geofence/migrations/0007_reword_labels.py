"""Reword labels and help texts. Changes no table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("geofence", "0006_name_last_fixes"),
    ]

    operations = [
        migrations.AlterField(
            model_name="geofence",
            name="dwell_s",
            field=models.PositiveIntegerField(default=180, help_text="Seconds inside after which a visit counts."),
        ),
        migrations.AlterField(
            model_name="geofence",
            name="radius_m",
            field=models.FloatField(
                blank=True, help_text="50 to 1,000 m; phones often miss less than 100 m. Circles only.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="store",
            name="opening_hours",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text='{"mon": [["09:00", "19:00"]], …}; a missing day is closed; empty: always open.',
            ),
        ),
    ]
