"""The same constraint for the old rows."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("promotions", "9003_limit_the_weather")]

    operations = [ValidateConstraint("redemption", "promotions_redemption_dry")]
