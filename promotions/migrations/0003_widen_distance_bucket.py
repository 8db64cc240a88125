"""The names of the distance steps are longer than they were thought to be."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("promotions", "0002_seal_consents")]

    operations = [
        migrations.AlterField(
            model_name="refusal",
            name="distance_bucket",
            field=models.CharField(blank=True, max_length=16),
        ),
    ]
