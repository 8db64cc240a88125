"""The plural of a last fix, for admin: nothing changes in the database."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("geofence", "0005_date_cells")]

    operations = [
        migrations.AlterModelOptions(name="lastfix", options={"verbose_name_plural": "last fixes"}),
    ]
