"""A constraint that holds for new rows."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("promotions", "9002_index_the_weather")]

    operations = [
        AddConstraintNotValid(
            "redemption",
            models.CheckConstraint(condition=models.Q(weather__in=["dry", "wet"]), name="promotions_redemption_dry"),
        ),
    ]
