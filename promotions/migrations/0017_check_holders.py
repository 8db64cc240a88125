"""Holder and source are checked for new coupons."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

ADD_KEY = """
ALTER TABLE promotions_coupon ADD CONSTRAINT promotions_coupon_device_id_fk FOREIGN KEY (device_id)
    REFERENCES promotions_device (id) DEFERRABLE INITIALLY DEFERRED NOT VALID
"""
DROP_KEY = "ALTER TABLE promotions_coupon DROP CONSTRAINT promotions_coupon_device_id_fk"


class Migration(migrations.Migration):
    dependencies = [("promotions", "0016_index_holders")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(ADD_KEY, DROP_KEY)],
            state_operations=[
                migrations.AlterField(
                    model_name="coupon",
                    name="device",
                    field=models.ForeignKey(
                        db_index=False,
                        help_text="The holder.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="coupons",
                        to="promotions.device",
                    ),
                ),
            ],
        ),
        AddConstraintNotValid(
            "coupon",
            models.CheckConstraint(condition=models.Q(device__isnull=False), name="promotions_coupon_has_holder"),
        ),
        AddConstraintNotValid(
            "coupon",
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(("source", "unlock"), ("unlock__isnull", False)),
                    models.Q(models.Q(("source", "unlock"), _negated=True), ("unlock__isnull", True)),
                    _connector="OR",
                ),
                name="promotions_coupon_source",
            ),
        ),
    ]
