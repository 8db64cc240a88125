"""A coupon has a holder and a source, and needs no unlock. A trigger names the holder of what old processes insert."""

import django.db.models.deletion
from django.db import migrations, models

FORWARDS = """
CREATE FUNCTION promotions_name_holder() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT device_id INTO NEW.device_id FROM promotions_unlock WHERE id = NEW.unlock_id;
    RETURN NEW;
END $$;

CREATE TRIGGER promotions_coupon_holder BEFORE INSERT ON promotions_coupon
    FOR EACH ROW WHEN (NEW.device_id IS NULL) EXECUTE FUNCTION promotions_name_holder();
"""

BACKWARDS = """
DROP TRIGGER promotions_coupon_holder ON promotions_coupon;
DROP FUNCTION promotions_name_holder();
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0013_limit_retention")]
    allowed = {
        "ban-drop-not-null": "The release before gives each coupon an unlock, and this one issues none without.",
    }

    operations = [
        migrations.AddField(
            model_name="coupon",
            name="device",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                help_text="The holder.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="coupons",
                to="promotions.device",
            ),
        ),
        migrations.AddField(
            model_name="coupon",
            name="source",
            field=models.CharField(
                choices=[
                    ("unlock", "unlock"),
                    ("draw", "draw"),
                    ("referral", "referral"),
                    ("reward", "reward"),
                    ("import", "import"),
                    ("goodwill", "goodwill"),
                ],
                db_default="unlock",
                default="unlock",
                help_text="How the holder got it.",
                max_length=8,
            ),
        ),
        # Django would make the foreign key again, and scan the table for it.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE promotions_coupon ALTER COLUMN unlock_id DROP NOT NULL",
                    "ALTER TABLE promotions_coupon ALTER COLUMN unlock_id SET NOT NULL",
                )
            ],
            state_operations=[
                migrations.AlterField(
                    model_name="coupon",
                    name="unlock",
                    field=models.OneToOneField(
                        help_text="Where the source is an unlock.",
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="coupon",
                        to="promotions.unlock",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(FORWARDS, BACKWARDS),
    ]
