"""Holder and source are checked for the old coupons."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

VALIDATE_KEY = "ALTER TABLE promotions_coupon VALIDATE CONSTRAINT promotions_coupon_device_id_fk"


class Migration(migrations.Migration):
    dependencies = [("promotions", "0017_check_holders")]

    operations = [
        migrations.RunSQL(VALIDATE_KEY, migrations.RunSQL.noop),
        ValidateConstraint("coupon", "promotions_coupon_has_holder"),
        ValidateConstraint("coupon", "promotions_coupon_source"),
    ]
