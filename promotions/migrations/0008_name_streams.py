"""Which stream a cursor belongs to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0007_hold_tills_without_network"),
    ]

    operations = [
        migrations.AddField(
            model_name="shardcursor",
            name="stream_mark",
            field=models.CharField(blank=True, default="", max_length=16),
        ),
    ]
