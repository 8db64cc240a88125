"""The turnstiles and the arrivals."""

import django.core.validators
from django.db import migrations, models

from tests.stories.turnstile.migrations import LAST_OF_THE_PRODUCT

_ID = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [("promotions", LAST_OF_THE_PRODUCT)]

    operations = [
        migrations.CreateModel(
            name="Turnstile",
            fields=[
                ("id", _ID),
                ("every", models.PositiveSmallIntegerField(validators=[django.core.validators.MinValueValidator(2)])),
                ("campaign", models.ForeignKey("promotions.campaign", models.CASCADE, related_name="turnstiles")),
            ],
        ),
        migrations.CreateModel(
            name="Arrival",
            fields=[
                ("id", _ID),
                ("lane", models.CharField(max_length=5)),
                ("number", models.PositiveIntegerField()),
                ("arrived_at", models.DateTimeField()),
                ("campaign", models.ForeignKey("promotions.campaign", models.CASCADE, related_name="+")),
                ("unlock", models.OneToOneField("promotions.unlock", models.CASCADE, related_name="arrival")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["campaign", "lane", "number"], name="promotions_arrival_number")
                ],
            },
        ),
    ]
