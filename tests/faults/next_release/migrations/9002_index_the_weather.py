"""An index on a table in use."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("promotions", "9001_note_the_weather")]

    operations = [
        AddIndexConcurrently(
            "redemption", models.Index(fields=["weather", "redeemed_at"], name="promotions_redemption_weather")
        ),
    ]
