"""Columns that this release does not know: one has a default in the database, one may be empty."""

from django.db import migrations, models

from tests.faults.next_release.migrations import LAST_OF_THIS_RELEASE


class Migration(migrations.Migration):
    dependencies = [("promotions", LAST_OF_THIS_RELEASE)]

    operations = [
        migrations.AddField("redemption", "weather", models.CharField(max_length=8, db_default="dry")),
        migrations.AddField("coupon", "weather", models.CharField(max_length=8, null=True)),
    ]
