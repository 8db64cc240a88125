"""Reword labels and help texts. Changes no table."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0021_number_campaign_edits"),
    ]

    operations = [
        migrations.AlterField(
            model_name="campaign",
            name="allows_offline",
            field=models.BooleanField(
                default=False,
                help_text="An offline till may accept a coupon that another till has redeemed. Its allowance limits the loss.",
                verbose_name="tills may redeem it offline",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="allows_vouching",
            field=models.BooleanField(
                default=False,
                help_text="Staff who see the customer may redeem without proof of the phone's presence.",
                verbose_name="staff may vouch",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="benefit",
            field=models.CharField(help_text="What staff give the customer, such as “1 free coffee”.", max_length=80),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="ends_on",
            field=models.DateField(help_text="Last day (included), in each store's time zone."),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="holdout_percent",
            field=models.PositiveSmallIntegerField(
                default=10,
                help_text="Share of phones that get no message, to measure the effect of the message.",
                validators=[django.core.validators.MaxValueValidator(50)],
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="max_speed_mps",
            field=models.FloatField(
                default=3.0,
                help_text="Between two fixes inside, for level 2. 3 allows walking, 15 a drive-through.",
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(15)],
                verbose_name="maximum speed inside (m/s)",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="message_body",
            field=models.CharField(
                blank=True, help_text="Can contain {store}, {brand}, {offer} and {until}.", max_length=240
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="message_life_s",
            field=models.PositiveIntegerField(
                default=1200,
                help_text="A message that is not sent within this time is dropped.",
                validators=[django.core.validators.MinValueValidator(60)],
                verbose_name="message lifetime (s)",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="message_title",
            field=models.CharField(
                blank=True,
                help_text="Leave it empty to send no message: customers find the offer in the app.",
                max_length=80,
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="messages_per_device",
            field=models.PositiveSmallIntegerField(default=3, help_text="In the whole campaign; at most one per day."),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="offer_title",
            field=models.CharField(
                help_text="Shown to the customer, such as “Free coffee with any sandwich”.", max_length=80
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="priority",
            field=models.SmallIntegerField(
                default=0,
                help_text="If two campaigns match at the same time, only the one with the higher priority sends its message.",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="redeem_cap",
            field=models.PositiveIntegerField(
                blank=True, help_text="Maximum number of uses at all tills. Empty: no limit.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="redeem_within_h",
            field=models.PositiveIntegerField(
                default=24,
                help_text="How long an issued coupon is valid.",
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="redeem within (hours)",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="redeems_in_hours",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Tills refuse a coupon outside the campaign's hours. It keeps the hours of its issue.",
                verbose_name="valid only in the hours below",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="starts_on",
            field=models.DateField(help_text="First day, in each store's time zone."),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="state",
            field=models.CharField(
                choices=[
                    ("draft", "draft"),
                    ("live", "live"),
                    ("paused", "paused: no coupons are issued, issued ones stay valid"),
                    ("ended", "ended"),
                ],
                default="draft",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="store_redeem_cap",
            field=models.PositiveIntegerField(
                blank=True, help_text="Maximum number of uses at the tills of one store. Empty: no limit.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="units",
            field=models.PositiveSmallIntegerField(
                default=1,
                help_text="“3 coffees” is 3: each scan redeems one.",
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(50)],
                verbose_name="uses of one coupon",
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="unlock_cap",
            field=models.PositiveIntegerField(
                blank=True, help_text="Maximum number of unlocks. Empty: no limit.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="campaign",
            name="value",
            field=models.DecimalField(
                blank=True,
                decimal_places=2,
                help_text="What one use costs you. It counts against a till's offline allowance.",
                max_digits=7,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="value of one use",
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="recalled_at",
            field=models.DateTimeField(help_text="Tills refuse it from this time on.", null=True),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="redeem_hours",
            field=models.JSONField(
                db_default=[],
                default=list,
                help_text="Weekly hours in which it is valid, frozen at issue. Empty: always.",
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="store_ids",
            field=models.JSONField(help_text="Stores in which it is valid, frozen at issue."),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="units",
            field=models.PositiveSmallIntegerField(default=1, help_text="How often it can be redeemed."),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="valid_until",
            field=models.DateTimeField(help_text="The first instant at which it is no longer valid."),
        ),
        migrations.AlterField(
            model_name="deadletter",
            name="fields",
            field=models.JSONField(help_text="Field names and values (base64) of the stream entry."),
        ),
        migrations.AlterField(
            model_name="idempotencyrecord",
            name="scope",
            field=models.CharField(help_text="The credential of the request.", max_length=80),
        ),
        migrations.AlterField(
            model_name="jobrecord",
            name="error",
            field=models.CharField(blank=True, default="", help_text="Class of the last error.", max_length=200),
        ),
        migrations.AlterField(
            model_name="offlinescan",
            name="corrected_at",
            field=models.DateTimeField(help_text="The same time on the server's clock, by the last known difference."),
        ),
        migrations.AlterField(
            model_name="offlinescan",
            name="outcome",
            field=models.CharField(
                choices=[
                    ("accepted", "accepted"),
                    ("conflict", "conflict: already redeemed at another till"),
                    ("out_of_policy", "out of policy"),
                ],
                max_length=13,
            ),
        ),
        migrations.AlterField(
            model_name="offlinescan",
            name="redemption",
            field=models.OneToOneField(
                help_text="Set if the scan was accepted.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="offline_scan",
                to="promotions.redemption",
            ),
        ),
        migrations.AlterField(
            model_name="offlinescan",
            name="taken_before_by",
            field=models.ForeignKey(
                help_text="In a conflict: the earlier redemption.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="promotions.redemption",
            ),
        ),
        migrations.AlterField(
            model_name="offlinescan",
            name="value",
            field=models.DecimalField(
                decimal_places=2, help_text="Value that the till gave away.", max_digits=7, null=True
            ),
        ),
        migrations.AlterField(
            model_name="opportunity",
            name="local_on",
            field=models.DateField(help_text="Date of the fix in the store's time zone."),
        ),
        migrations.AlterField(
            model_name="opportunity",
            name="message_state",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Taken from its message; set when the message is deleted.",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="opportunity",
            name="planned_at",
            field=models.DateTimeField(help_text="When the message is sent or, in the control arm, would be sent."),
        ),
        migrations.AlterField(
            model_name="opportunity",
            name="visited_within_minutes",
            field=models.PositiveSmallIntegerField(
                help_text="The shortest span of the report with a visit; set when the visit is deleted.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="prizelot",
            name="name",
            field=models.CharField(help_text="What staff give the winner.", max_length=80),
        ),
        migrations.AlterField(
            model_name="redemption",
            name="is_vouched",
            field=models.BooleanField(default=False, help_text="Staff confirmed the customer's presence."),
        ),
        migrations.AlterField(
            model_name="redemption",
            name="level",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="Assurance level of the phone's presence, without this scan."
            ),
        ),
        migrations.AlterField(
            model_name="redemption",
            name="source",
            field=models.CharField(
                choices=[("camera", "camera"), ("typed", "typed"), ("offline", "offline")], max_length=7
            ),
        ),
        migrations.AlterField(
            model_name="redemption",
            name="unit",
            field=models.PositiveSmallIntegerField(default=1, help_text="Number of the coupon's unit, from 1."),
        ),
        migrations.AlterField(
            model_name="refusal",
            name="arrived_within_minutes",
            field=models.PositiveSmallIntegerField(
                help_text="The shortest span of the report with a visit; set when the visit is deleted.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="refusal",
            name="was_inside",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Already at a store of the campaign; set when the visit is deleted.",
            ),
        ),
        migrations.AlterField(
            model_name="revocationnotice",
            name="blocked",
            field=models.CharField(
                blank=True, help_text="Why the device is blocked; empty if it is not.", max_length=20
            ),
        ),
        migrations.AlterField(
            model_name="revocationnotice",
            name="subject",
            field=models.UUIDField(
                help_text="The device. Not a foreign key, as the device may be erased.",
                primary_key=True,
                serialize=False,
            ),
        ),
        migrations.AlterField(
            model_name="staffdevice",
            name="is_manager",
            field=models.BooleanField(
                default=False, help_text="May void redemptions for seven days, also those of other devices."
            ),
        ),
        migrations.AlterField(
            model_name="staffdevice",
            name="profile",
            field=models.CharField(
                choices=[("till", "till: redeems coupons"), ("kiosk", "kiosk: shows the store's code")],
                default="till",
                max_length=5,
            ),
        ),
        migrations.AlterField(
            model_name="staffenrolment",
            name="profile",
            field=models.CharField(
                choices=[("till", "till: redeems coupons"), ("kiosk", "kiosk: shows the store's code")],
                default="till",
                max_length=5,
            ),
        ),
        migrations.AlterField(
            model_name="staffmember",
            name="is_manager",
            field=models.BooleanField(
                default=False, help_text="May void redemptions for seven days, also those of other tills."
            ),
        ),
        migrations.AlterField(
            model_name="timewindow",
            name="ends_at",
            field=models.TimeField(
                help_text="Not included. Earlier than “from” means past midnight; 00:00 is the end of the day.",
                verbose_name="until",
            ),
        ),
        migrations.AlterField(
            model_name="withdrawncoupon",
            name="store_ids",
            field=models.JSONField(help_text="Stores whose tills refuse it."),
        ),
    ]
