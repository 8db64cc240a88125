"""Kinds and outcomes are those of the registered mechanics, so no later mechanic needs a migration of these columns."""

from django.db import migrations, models

import promotions.models.kinds


class Migration(migrations.Migration):
    dependencies = [("promotions", "0019_require_holders")]
    allowed = {"changing-column-type": "A longer varchar changes the catalogue only; no row is read or written."}

    operations = [
        migrations.AlterField(
            model_name="campaign",
            name="kind",
            field=models.CharField(choices=promotions.models.kinds.list_kinds, default="coupon", max_length=24),
        ),
        migrations.AlterField(
            model_name="unlock",
            name="outcome",
            field=models.CharField(choices=promotions.models.kinds.list_outcomes, max_length=24),
        ),
    ]
