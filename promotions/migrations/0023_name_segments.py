"""A campaign may require segments, and a device has some."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0022_reword_labels"),
    ]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="segments",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=40), blank=True, db_default=[], default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="device",
            name="segments",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=40), blank=True, db_default=[], default=list, size=None
            ),
        ),
    ]
