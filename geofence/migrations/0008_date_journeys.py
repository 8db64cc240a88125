"""Since when a device has been known outside the stores, which a new installation needs for level 2."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("geofence", "0007_reword_labels")]

    operations = [
        migrations.AddField(model_name="lastfix", name="away_since_at", field=models.DateTimeField(null=True)),
    ]
