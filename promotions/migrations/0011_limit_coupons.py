"""Coupons may be good at certain hours only, and may be withdrawn."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0010_keep_revocation_notices"),
    ]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="redeems_in_hours",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Tills refuse a coupon outside the campaign's hours, as they stand when it is issued.",
                verbose_name="taken in the hours below only",
            ),
        ),
        migrations.AddField(
            model_name="coupon",
            name="recalled_at",
            field=models.DateTimeField(help_text="From then on tills refuse it.", null=True),
        ),
        migrations.AddField(
            model_name="coupon",
            name="redeem_hours",
            field=models.JSONField(
                db_default=[],
                default=list,
                help_text="Weekly hours at which tills take it, frozen at issue; none: at any.",
            ),
        ),
        migrations.AddIndex(
            model_name="coupon",
            index=models.Index(
                condition=models.Q(("allows_offline", True), ("recalled_at__isnull", False)),
                fields=["campaign", "valid_until"],
                name="promotions_coupon_recalled",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaign",
            constraint=models.CheckConstraint(
                condition=models.Q(("redeems_in_hours", False), ("allows_offline", False), _connector="OR"),
                name="promotions_campaign_hours_online",
            ),
        ),
    ]
