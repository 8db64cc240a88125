"""Proofs of presence, reservations, units, caps at the till, staff members, scans without network."""

import uuid

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("geofence", "0004_judge_jumps_and_repeats"),
        ("promotions", "0004_index_matchable_devices"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="OfflineScan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("nonce", models.UUIDField()),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("amount", models.DecimalField(decimal_places=2, max_digits=10, null=True)),
                (
                    "value",
                    models.DecimalField(
                        decimal_places=2, help_text="What the till gave away.", max_digits=7, null=True
                    ),
                ),
                ("scanned_at", models.DateTimeField(help_text="The staff device's clock.")),
                (
                    "corrected_at",
                    models.DateTimeField(help_text="The same on the server's clock, by the difference last seen."),
                ),
                ("received_at", models.DateTimeField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("accepted", "accepted"),
                            ("conflict", "conflict: another till had taken it"),
                            ("out_of_policy", "out of policy"),
                        ],
                        max_length=13,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=40)),
                (
                    "decision",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("honoured", "the partner is paid for it"),
                            ("declined", "the partner is not paid for it"),
                        ],
                        max_length=8,
                    ),
                ),
                ("decided_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-received_at"],
            },
        ),
        migrations.CreateModel(
            name="PointSighting",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("point_digest", models.BigIntegerField()),
                ("seen_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Reservation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reserved_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="SpentPresenceToken",
            fields=[
                ("jti", models.UUIDField(primary_key=True, serialize=False)),
                ("spent_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="StaffMember",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("initials", models.CharField(max_length=4)),
                (
                    "is_manager",
                    models.BooleanField(
                        default=False, help_text="May void for seven days, redemptions of other tills too."
                    ),
                ),
                ("pin_hash", models.CharField(editable=False, max_length=128)),
                ("failed_tries", models.PositiveSmallIntegerField(default=0, editable=False)),
                ("is_active", models.BooleanField(default=True)),
            ],
            options={
                "ordering": ["initials"],
            },
        ),
        migrations.CreateModel(
            name="StoreCodeUse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("step", models.BigIntegerField(help_text="Seconds since 1970 divided by the step's length.")),
                ("used_at", models.DateTimeField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="budget",
            name="promotions_budget_slot",
        ),
        migrations.RemoveConstraint(
            model_name="redemption",
            name="promotions_redemption_one_live",
        ),
        migrations.AddField(
            model_name="budget",
            name="scope",
            field=models.CharField(
                choices=[("unlock", "unlocks"), ("redeem", "uses at tills")], default="unlock", max_length=6
            ),
        ),
        migrations.AddField(
            model_name="budget",
            name="store",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="geofence.store",
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="allows_offline",
            field=models.BooleanField(
                default=False,
                help_text="A till without network may take a coupon that another took; it loses its allowance at most.",
                verbose_name="tills may take it without network",
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="allows_vouching",
            field=models.BooleanField(
                default=False,
                help_text="Staff who see the customer may redeem although the phone's presence is not proven.",
                verbose_name="staff may vouch",
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="asks_amount",
            field=models.BooleanField(
                default=False, help_text="Staff enter what the customer pays.", verbose_name="ask for the amount"
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="max_speed_mps",
            field=models.FloatField(
                default=3.0,
                help_text="Between two fixes inside, for level 2: 3 is a walk, 15 a drive-through.",
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(15)],
                verbose_name="fastest way in (m/s)",
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="redeem_cap",
            field=models.PositiveIntegerField(
                blank=True, help_text="Uses taken at tills in all; empty: no limit.", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="store_redeem_cap",
            field=models.PositiveIntegerField(
                blank=True, help_text="Uses taken at the tills of one store; empty: no limit.", null=True
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="units",
            field=models.PositiveSmallIntegerField(
                default=1,
                help_text="“3 coffees” is 3: each scan takes one.",
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(50)],
                verbose_name="uses of one coupon",
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="value",
            field=models.DecimalField(
                blank=True,
                decimal_places=2,
                help_text="What one use costs you; counts against a till's allowance without network.",
                max_digits=7,
                null=True,
                validators=[django.core.validators.MinValueValidator(0)],
                verbose_name="value of one use",
            ),
        ),
        migrations.AddField(
            model_name="coupon",
            name="allows_offline",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="coupon",
            name="allows_vouching",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="coupon",
            name="asks_amount",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="coupon",
            name="redeem_level",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="coupon",
            name="units",
            field=models.PositiveSmallIntegerField(default=1, help_text="How often it is taken."),
        ),
        migrations.AddField(
            model_name="coupon",
            name="value",
            field=models.DecimalField(decimal_places=2, max_digits=7, null=True),
        ),
        migrations.AddField(
            model_name="redemption",
            name="is_vouched",
            field=models.BooleanField(default=False, help_text="Staff answered for the customer's presence."),
        ),
        migrations.AddField(
            model_name="redemption",
            name="level",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="How sure it was, apart from this scan, that the customer's phone was there."
            ),
        ),
        migrations.AddField(
            model_name="redemption",
            name="unit",
            field=models.PositiveSmallIntegerField(default=1, help_text="Which of the coupon's units, from 1 on."),
        ),
        migrations.AddField(
            model_name="staffdevice",
            name="clock_ahead_ms",
            field=models.IntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="staffdevice",
            name="profile",
            field=models.CharField(
                choices=[("till", "till: takes coupons"), ("kiosk", "kiosk: shows the store's code")],
                default="till",
                max_length=5,
            ),
        ),
        migrations.AddField(
            model_name="staffdevice",
            name="signed_in_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="staffdevice",
            name="synced_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="staffenrolment",
            name="profile",
            field=models.CharField(
                choices=[("till", "till: takes coupons"), ("kiosk", "kiosk: shows the store's code")],
                default="till",
                max_length=5,
            ),
        ),
        migrations.AlterField(
            model_name="redemption",
            name="source",
            field=models.CharField(
                choices=[("camera", "camera"), ("typed", "typed"), ("offline", "without network")], max_length=7
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(
                fields=("campaign", "scope", "store", "slot"), name="promotions_budget_slot", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="campaign",
            constraint=models.CheckConstraint(
                condition=models.Q(("units__gte", 1), ("units__lte", 50)), name="promotions_campaign_units"
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(condition=models.Q(("units__gte", 1)), name="promotions_coupon_units"),
        ),
        migrations.AddField(
            model_name="offlinescan",
            name="coupon",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="offline_scans",
                to="promotions.coupon",
            ),
        ),
        migrations.AddField(
            model_name="offlinescan",
            name="decided_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="offlinescan",
            name="redemption",
            field=models.OneToOneField(
                help_text="When accepted.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="offline_scan",
                to="promotions.redemption",
            ),
        ),
        migrations.AddField(
            model_name="offlinescan",
            name="staff_device",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="offline_scans", to="promotions.staffdevice"
            ),
        ),
        migrations.AddField(
            model_name="offlinescan",
            name="store",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="geofence.store"),
        ),
        migrations.AddField(
            model_name="offlinescan",
            name="taken_before_by",
            field=models.ForeignKey(
                help_text="In a conflict: who was first.",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="promotions.redemption",
            ),
        ),
        migrations.AddField(
            model_name="pointsighting",
            name="device",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="promotions.device"
            ),
        ),
        migrations.AddField(
            model_name="reservation",
            name="campaign",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="reservations", to="promotions.campaign"
            ),
        ),
        migrations.AddField(
            model_name="reservation",
            name="device",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="reservations", to="promotions.device"
            ),
        ),
        migrations.AddField(
            model_name="reservation",
            name="store",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="geofence.store"
            ),
        ),
        migrations.AddField(
            model_name="spentpresencetoken",
            name="brand",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="promotions.brand"
            ),
        ),
        migrations.AddField(
            model_name="staffmember",
            name="store",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="staff_members", to="geofence.store"
            ),
        ),
        migrations.AddField(
            model_name="offlinescan",
            name="staff_member",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="promotions.staffmember"
            ),
        ),
        migrations.AddField(
            model_name="redemption",
            name="staff_member",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="redemptions",
                to="promotions.staffmember",
            ),
        ),
        migrations.AddField(
            model_name="staffdevice",
            name="staff_member",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="staff_devices",
                to="promotions.staffmember",
            ),
        ),
        migrations.AddField(
            model_name="void",
            name="staff_member",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="voids",
                to="promotions.staffmember",
            ),
        ),
        migrations.AddConstraint(
            model_name="redemption",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_live", True)), fields=("coupon", "unit"), name="promotions_redemption_one_live"
            ),
        ),
        migrations.AddConstraint(
            model_name="redemption",
            constraint=models.CheckConstraint(condition=models.Q(("unit__gte", 1)), name="promotions_redemption_unit"),
        ),
        migrations.AddField(
            model_name="storecodeuse",
            name="device",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="promotions.device"
            ),
        ),
        migrations.AddField(
            model_name="storecodeuse",
            name="store",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="geofence.store"),
        ),
        migrations.AddConstraint(
            model_name="pointsighting",
            constraint=models.UniqueConstraint(
                fields=("point_digest", "device"), name="promotions_point_sighting_once"
            ),
        ),
        migrations.AddIndex(
            model_name="reservation",
            index=models.Index(fields=["campaign", "expires_at"], name="promotions_reservation_ended"),
        ),
        migrations.AddConstraint(
            model_name="reservation",
            constraint=models.UniqueConstraint(fields=("campaign", "device"), name="promotions_reservation_once"),
        ),
        migrations.AddConstraint(
            model_name="reservation",
            constraint=models.CheckConstraint(
                condition=models.Q(("expires_at__gt", models.F("reserved_at"))), name="promotions_reservation_life"
            ),
        ),
        migrations.AddConstraint(
            model_name="staffmember",
            constraint=models.UniqueConstraint(fields=("store", "initials"), name="promotions_staff_member_initials"),
        ),
        migrations.AddIndex(
            model_name="offlinescan",
            index=models.Index(fields=["staff_device", "-scanned_at"], name="promotions_offline_scan_recent"),
        ),
        migrations.AddIndex(
            model_name="offlinescan",
            index=models.Index(
                condition=models.Q(models.Q(("outcome", "accepted"), _negated=True), ("decision", "")),
                fields=["received_at"],
                name="promotions_offline_scan_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="offlinescan",
            constraint=models.UniqueConstraint(fields=("staff_device", "nonce"), name="promotions_offline_scan_nonce"),
        ),
        migrations.AddIndex(
            model_name="storecodeuse",
            index=models.Index(fields=["store", "step"], name="promotions_store_code_use_step"),
        ),
        migrations.AddConstraint(
            model_name="storecodeuse",
            constraint=models.UniqueConstraint(
                fields=("device", "store", "step"), name="promotions_store_code_use_once"
            ),
        ),
    ]
