"""A coupon's QR text names the coupon and is signed: no digest of it is needed to look the coupon up.

The way back needs a table without coupons: what was in the column cannot be known here.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0005_prove_presence_and_till"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="coupon", name="promotions_coupon_token"),
        migrations.RemoveField(model_name="coupon", name="token_digest"),
    ]
