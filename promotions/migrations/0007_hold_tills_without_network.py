"""Tills without network: what they may meet, what they must not take, and clocks that are off by more than 24 days."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0006_sign_coupon_tokens"),
    ]

    operations = [
        migrations.CreateModel(
            name="WithdrawnCoupon",
            fields=[
                ("coupon_id", models.UUIDField(primary_key=True, serialize=False)),
                ("store_ids", models.JSONField(help_text="Stores whose tills are told.")),
                ("valid_until", models.DateTimeField()),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="promotions.campaign"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["valid_until"], name="promotions_withdrawn_until")],
            },
        ),
        migrations.AddIndex(
            model_name="coupon",
            index=models.Index(
                condition=models.Q(("allows_offline", True)),
                fields=["campaign", "valid_until"],
                name="promotions_coupon_offline",
            ),
        ),
        migrations.AlterField(
            model_name="staffdevice",
            name="clock_ahead_ms",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.RemoveIndex(model_name="offlinescan", name="promotions_offline_scan_recent"),
        migrations.AddIndex(
            model_name="offlinescan",
            index=models.Index(fields=["staff_device", "-corrected_at"], name="promotions_offline_scan_recent"),
        ),
    ]
