"""Reword labels and help texts. Changes no table."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="attempt",
            name="outcome",
            field=models.CharField(
                choices=[("accepted", "accepted"), ("retry", "to be retried"), ("failed", "failed permanently")],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="message",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "pending"),
                    ("leased", "being sent"),
                    ("accepted", "accepted by the transport"),
                    ("expired", "expired"),
                    ("suppressed", "suppressed"),
                    ("failed", "failed permanently"),
                ],
                default="pending",
                max_length=10,
            ),
        ),
    ]
