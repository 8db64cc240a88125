"""Whether a device's fixes may be used is answered by an index alone: half the cost of reading the rows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("promotions", "0003_widen_distance_bucket")]

    operations = [
        migrations.AddIndex(
            model_name="device",
            index=models.Index(
                fields=["id"],
                condition=models.Q(is_blocked=False, consents__contains=["geo_match"]),
                name="promotions_device_matchable",
            ),
        ),
    ]
