"""Campaigns count their edits, so that an editor cannot overwrite what it has not seen."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0020_derive_kinds"),
    ]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="version",
            field=models.PositiveIntegerField(db_default=1, default=1, editable=False),
        ),
    ]
