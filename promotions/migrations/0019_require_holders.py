"""Every coupon has a holder."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("promotions", "0018_validate_holders")]
    allowed = {
        "set-not-null": "The validated check is PostgreSQL's proof, so it scans nothing; the trigger fills the column "
        "for the release before.",
        "ban-drop-constraint": "The column itself now guarantees what this check did.",
    }

    operations = [
        # Django would make the foreign key again, and scan the table for it.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE promotions_coupon ALTER COLUMN device_id SET NOT NULL",
                    "ALTER TABLE promotions_coupon ALTER COLUMN device_id DROP NOT NULL",
                )
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="coupon",
                    name="device",
                    field=models.ForeignKey(
                        db_index=False,
                        help_text="The holder.",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="coupons",
                        to="promotions.device",
                    ),
                ),
            ],
        ),
        migrations.RemoveConstraint(model_name="coupon", name="promotions_coupon_has_holder"),
    ]
