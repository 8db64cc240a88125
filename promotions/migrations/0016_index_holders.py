"""The index by holder, for erasure, export and blocking."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("promotions", "0015_fill_holders")]

    operations = [
        AddIndexConcurrently("coupon", models.Index(fields=["device", "-valid_from"], name="promotions_coupon_holder")),
    ]
