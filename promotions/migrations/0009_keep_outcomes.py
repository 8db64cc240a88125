"""What a campaign's report says of visits and messages outlives them."""

from django.db import migrations, models

SHORTEST_SPAN = "The shortest span of the report in which a visit came, once the visit is dropped."


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0008_name_streams"),
    ]

    operations = [
        migrations.AddField(
            model_name="opportunity",
            name="visited_within_minutes",
            field=models.PositiveSmallIntegerField(help_text=SHORTEST_SPAN, null=True),
        ),
        migrations.AddField(
            model_name="opportunity",
            name="message_state",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Of its message, once that is dropped.",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="opportunity",
            name="message_reason",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
        migrations.AddField(
            model_name="refusal",
            name="was_inside",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="At a store of the campaign already, once the visit is dropped.",
            ),
        ),
        migrations.AddField(
            model_name="refusal",
            name="arrived_within_minutes",
            field=models.PositiveSmallIntegerField(help_text=SHORTEST_SPAN, null=True),
        ),
    ]
