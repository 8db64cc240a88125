import uuid

import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("geofence", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ShardCursor",
            fields=[
                ("shard", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("last_entry_id", models.CharField(default="0-0", max_length=40)),
                ("advanced_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["shard"],
            },
        ),
        migrations.CreateModel(
            name="Brand",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=120)),
            ],
            options={
                "ordering": ["name"],
                "constraints": [models.UniqueConstraint(fields=("name",), name="promotions_brand_name")],
            },
        ),
        migrations.CreateModel(
            name="BrandToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("label", models.CharField(max_length=80)),
                ("token_digest", models.BinaryField(max_length=32, unique=True)),
                ("created_at", models.DateTimeField(editable=False)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tokens",
                        to="promotions.brand",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="Campaign",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=120)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("coupon", "coupon"),
                            ("instant_win", "instant win"),
                            ("draw", "draw"),
                            ("vote", "vote"),
                        ],
                        default="coupon",
                        max_length=12,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "draft"),
                            ("live", "live"),
                            ("paused", "paused: nothing is issued, coupons already out still count"),
                            ("ended", "ended"),
                        ],
                        default="draft",
                        max_length=8,
                    ),
                ),
                ("starts_on", models.DateField(help_text="First day, in each store's own time zone.")),
                (
                    "ends_on",
                    models.DateField(help_text="Last day, to its last second, in each store's own time zone."),
                ),
                (
                    "offer_title",
                    models.CharField(
                        help_text="What the customer sees: “Free coffee with any sandwich”.", max_length=80
                    ),
                ),
                (
                    "benefit",
                    models.CharField(help_text="What staff hand over: “1 free coffee”.", max_length=80),
                ),
                (
                    "terms",
                    models.TextField(blank=True, help_text="Frozen into each coupon when it is issued."),
                ),
                (
                    "redeem_within_h",
                    models.PositiveIntegerField(
                        default=24,
                        help_text="Life of an issued coupon.",
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="redeem within (hours)",
                    ),
                ),
                (
                    "trigger",
                    models.CharField(
                        choices=[
                            ("approach", "when a phone comes near"),
                            ("enter", "when a phone enters"),
                            ("dwell", "when a phone stays"),
                        ],
                        default="enter",
                        max_length=8,
                    ),
                ),
                (
                    "message_title",
                    models.CharField(
                        blank=True,
                        help_text="Empty: no message; the offer is found in the app.",
                        max_length=80,
                    ),
                ),
                (
                    "message_body",
                    models.CharField(
                        blank=True,
                        help_text="May contain {store}, {brand}, {offer} and {until}.",
                        max_length=240,
                    ),
                ),
                (
                    "message_life_s",
                    models.PositiveIntegerField(
                        default=1200,
                        help_text="Not sent by then: dropped.",
                        validators=[django.core.validators.MinValueValidator(60)],
                        verbose_name="message life (s)",
                    ),
                ),
                (
                    "messages_per_device",
                    models.PositiveSmallIntegerField(
                        default=3, help_text="Over the whole campaign; one a day at most."
                    ),
                ),
                (
                    "priority",
                    models.SmallIntegerField(
                        default=0, help_text="When two campaigns want the same moment, the higher one has it."
                    ),
                ),
                (
                    "holdout_percent",
                    models.PositiveSmallIntegerField(
                        default=10,
                        help_text="Share that gets no message, to measure what the message causes.",
                        validators=[django.core.validators.MaxValueValidator(50)],
                    ),
                ),
                ("salt", models.CharField(editable=False, max_length=32)),
                (
                    "notify_level",
                    models.PositiveSmallIntegerField(
                        default=0, validators=[django.core.validators.MaxValueValidator(4)]
                    ),
                ),
                (
                    "unlock_level",
                    models.PositiveSmallIntegerField(
                        default=1, validators=[django.core.validators.MaxValueValidator(4)]
                    ),
                ),
                (
                    "redeem_level",
                    models.PositiveSmallIntegerField(
                        default=0, validators=[django.core.validators.MaxValueValidator(4)]
                    ),
                ),
                (
                    "unlock_cap",
                    models.PositiveIntegerField(blank=True, help_text="Unlocks in all; empty: no limit.", null=True),
                ),
                (
                    "is_flash",
                    models.BooleanField(default=False, help_text="Many phones at once: the cap is split over 16 rows."),
                ),
                ("seed", models.BinaryField(max_length=32, null=True)),
                ("seed_commitment", models.CharField(blank=True, editable=False, max_length=64)),
                ("created_at", models.DateTimeField(editable=False)),
                ("opened_at", models.DateTimeField(editable=False, null=True)),
                (
                    "brand",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="campaigns",
                        to="promotions.brand",
                    ),
                ),
                ("stores", models.ManyToManyField(related_name="campaigns", to="geofence.store")),
            ],
            options={
                "ordering": ["-starts_on", "name"],
            },
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("slot", models.PositiveSmallIntegerField()),
                ("cap", models.PositiveIntegerField()),
                ("used", models.PositiveIntegerField(default=0)),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budgets",
                        to="promotions.campaign",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Coupon",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("generation", models.PositiveSmallIntegerField(default=0)),
                ("code_digest", models.BinaryField(max_length=32)),
                ("token_digest", models.BinaryField(max_length=32)),
                ("benefit", models.CharField(max_length=80)),
                ("terms", models.TextField(blank=True)),
                ("store_ids", models.JSONField(help_text="Stores that take it, frozen at issue.")),
                ("valid_from", models.DateTimeField()),
                (
                    "valid_until",
                    models.DateTimeField(help_text="The first instant at which it is no longer taken."),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="coupons",
                        to="promotions.campaign",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("shard", models.PositiveSmallIntegerField()),
                ("entry_id", models.CharField(max_length=40)),
                (
                    "fields",
                    models.JSONField(help_text="Field names to base64 of their values, as they stood in the stream."),
                ),
                ("reason", models.CharField(max_length=200)),
                ("buried_at", models.DateTimeField()),
                ("replayed_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-buried_at"],
                "constraints": [
                    models.UniqueConstraint(fields=("shard", "entry_id"), name="promotions_dead_letter_entry")
                ],
            },
        ),
        migrations.CreateModel(
            name="Device",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "platform",
                    models.CharField(
                        choices=[("android", "Android"), ("ios", "iOS"), ("web", "web"), ("other", "other")],
                        max_length=8,
                    ),
                ),
                ("app_id", models.CharField(blank=True, max_length=120)),
                ("locale", models.CharField(blank=True, max_length=35)),
                (
                    "consents",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("geo_match", "compare my position with stores"),
                                ("messages", "send me offers"),
                                ("fraud_checks", "use signals against cheating"),
                                ("statistics", "count me in statistics"),
                            ],
                            max_length=16,
                        ),
                        default=list,
                        size=None,
                    ),
                ),
                ("registered_at", models.DateTimeField()),
                ("tokens_not_before", models.DateTimeField(null=True)),
                ("is_blocked", models.BooleanField(default=False)),
            ],
            options={
                "indexes": [models.Index(fields=["registered_at"], name="promotions_device_registered")],
            },
        ),
        migrations.CreateModel(
            name="Consent",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "purpose",
                    models.CharField(
                        choices=[
                            ("geo_match", "compare my position with stores"),
                            ("messages", "send me offers"),
                            ("fraud_checks", "use signals against cheating"),
                            ("statistics", "count me in statistics"),
                        ],
                        max_length=16,
                    ),
                ),
                ("is_granted", models.BooleanField()),
                ("text_version", models.CharField(blank=True, max_length=64)),
                ("locale", models.CharField(blank=True, max_length=35)),
                ("recorded_at", models.DateTimeField()),
                (
                    "device",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="consent_log",
                        to="promotions.device",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="IdempotencyRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("scope", models.CharField(help_text="The credential that asked.", max_length=80)),
                ("key", models.CharField(max_length=255)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("content_type", models.CharField(blank=True, max_length=80)),
                ("body", models.BinaryField(null=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["created_at"], name="promotions_idempotency_age")],
                "constraints": [
                    models.UniqueConstraint(fields=("scope", "key"), name="promotions_idempotency_key"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("body__isnull", True), ("status__isnull", True)),
                            models.Q(("body__isnull", False), ("status__isnull", False)),
                            _connector="OR",
                        ),
                        name="promotions_idempotency_answer",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "brand",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="promotions.brand",
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="geofence.partner",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Opportunity",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("device_id", models.UUIDField()),
                (
                    "arm",
                    models.CharField(choices=[("treated", "treated"), ("control", "control")], max_length=8),
                ),
                ("fix_time", models.DateTimeField()),
                (
                    "planned_at",
                    models.DateTimeField(help_text="When the message goes or, in the control arm, would have gone."),
                ),
                ("local_on", models.DateField(help_text="The store's day of the fix.")),
                ("request_id", models.CharField(blank=True, max_length=36)),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="opportunities",
                        to="promotions.campaign",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="geofence.store"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "opportunities",
            },
        ),
        migrations.CreateModel(
            name="PrizeLot",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "name",
                    models.CharField(help_text="What the winner gets and staff hand over.", max_length=80),
                ),
                (
                    "quantity",
                    models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1)]),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="prize_lots",
                        to="promotions.campaign",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="StaffDevice",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("label", models.CharField(max_length=80)),
                (
                    "is_manager",
                    models.BooleanField(
                        default=False, help_text="May void for seven days, redemptions of other devices too."
                    ),
                ),
                ("token_digest", models.BinaryField(max_length=32, unique=True)),
                ("enrolled_at", models.DateTimeField(editable=False)),
                ("last_seen_at", models.DateTimeField(editable=False, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "store",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="staff_devices",
                        to="geofence.store",
                    ),
                ),
            ],
            options={
                "ordering": ["-enrolled_at"],
            },
        ),
        migrations.CreateModel(
            name="Refusal",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "stage",
                    models.CharField(choices=[("unlock", "unlock"), ("redeem", "redeem")], max_length=6),
                ),
                ("reason", models.CharField(max_length=40)),
                ("device_id", models.UUIDField(null=True)),
                ("distance_bucket", models.CharField(blank=True, max_length=12)),
                ("level", models.PositiveSmallIntegerField(null=True)),
                ("refused_at", models.DateTimeField()),
                (
                    "campaign",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="refusals",
                        to="promotions.campaign",
                    ),
                ),
                (
                    "coupon",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="refusals",
                        to="promotions.coupon",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="geofence.store",
                    ),
                ),
                (
                    "staff_device",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="promotions.staffdevice",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Redemption",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("nonce", models.UUIDField()),
                ("fingerprint", models.BinaryField(max_length=32)),
                (
                    "source",
                    models.CharField(choices=[("camera", "camera"), ("typed", "typed")], max_length=6),
                ),
                ("amount", models.DecimalField(decimal_places=2, max_digits=10, null=True)),
                ("scanned_at", models.DateTimeField(help_text="The staff device's clock.")),
                ("redeemed_at", models.DateTimeField(help_text="The server's clock.")),
                ("is_live", models.BooleanField(default=True)),
                (
                    "coupon",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="redemptions",
                        to="promotions.coupon",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="geofence.store"
                    ),
                ),
                (
                    "staff_device",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="redemptions",
                        to="promotions.staffdevice",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="StaffEnrolment",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("label", models.CharField(max_length=80)),
                ("is_manager", models.BooleanField(default=False)),
                ("token_digest", models.BinaryField(max_length=32, unique=True)),
                ("created_at", models.DateTimeField(editable=False)),
                ("expires_at", models.DateTimeField(editable=False)),
                ("used_at", models.DateTimeField(editable=False, null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "staff_device",
                    models.OneToOneField(
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="enrolment",
                        to="promotions.staffdevice",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="staff_enrolments",
                        to="geofence.store",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="TimeWindow",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("weekdays", models.PositiveSmallIntegerField(default=127)),
                ("starts_at", models.TimeField(verbose_name="from")),
                (
                    "ends_at",
                    models.TimeField(
                        help_text="Not included; earlier than “from”: past midnight; 00:00: end of day.",
                        verbose_name="until",
                    ),
                ),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="windows",
                        to="promotions.campaign",
                    ),
                ),
            ],
            options={
                "ordering": ["starts_at"],
            },
        ),
        migrations.CreateModel(
            name="Unlock",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "outcome",
                    models.CharField(choices=[("coupon", "coupon"), ("won", "won"), ("lost", "not won")], max_length=6),
                ),
                ("level", models.PositiveSmallIntegerField()),
                ("granted_at", models.DateTimeField()),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="unlocks",
                        to="promotions.campaign",
                    ),
                ),
                (
                    "device",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="unlocks",
                        to="promotions.device",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="geofence.store"
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="coupon",
            name="unlock",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE, related_name="coupon", to="promotions.unlock"
            ),
        ),
        migrations.CreateModel(
            name="Void",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("mistake", "scanned by mistake"),
                            ("returned", "goods returned"),
                            ("not_given", "benefit not given"),
                            ("other", "other"),
                        ],
                        max_length=10,
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=240)),
                ("voided_at", models.DateTimeField()),
                (
                    "redemption",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="void",
                        to="promotions.redemption",
                    ),
                ),
                (
                    "staff_device",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="voids",
                        to="promotions.staffdevice",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-voided_at"],
            },
        ),
        migrations.CreateModel(
            name="WinningMoment",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("number", models.PositiveIntegerField()),
                ("opens_at", models.DateTimeField()),
                ("taken_at", models.DateTimeField(null=True)),
                (
                    "campaign",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="moments",
                        to="promotions.campaign",
                    ),
                ),
                (
                    "lot",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="moments",
                        to="promotions.prizelot",
                    ),
                ),
                (
                    "unlock",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="winning_moment",
                        to="promotions.unlock",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="campaign",
            index=models.Index(
                condition=models.Q(("state", "live")),
                fields=["starts_on", "ends_on"],
                name="promotions_campaign_live",
            ),
        ),
        migrations.AddConstraint(
            model_name="campaign",
            constraint=models.CheckConstraint(
                condition=models.Q(("ends_on__gte", models.F("starts_on"))), name="promotions_campaign_dates"
            ),
        ),
        migrations.AddConstraint(
            model_name="campaign",
            constraint=models.CheckConstraint(
                condition=models.Q(("holdout_percent__lte", 50)), name="promotions_campaign_holdout"
            ),
        ),
        migrations.AddConstraint(
            model_name="campaign",
            constraint=models.CheckConstraint(
                condition=models.Q(("notify_level__lte", 4), ("redeem_level__lte", 4), ("unlock_level__lte", 4)),
                name="promotions_campaign_levels",
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(fields=("campaign", "slot"), name="promotions_budget_slot"),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("used__gte", 0), ("used__lte", models.F("cap"))),
                name="promotions_budget_within_cap",
            ),
        ),
        migrations.AddIndex(
            model_name="consent",
            index=models.Index(fields=["device", "recorded_at"], name="promotions_consent_device"),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("brand__isnull", False), ("partner__isnull", True)),
                    models.Q(("brand__isnull", True), ("partner__isnull", False)),
                    _connector="OR",
                ),
                name="promotions_membership_one_side",
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(fields=("user", "brand"), name="promotions_membership_brand"),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(fields=("user", "partner"), name="promotions_membership_partner"),
        ),
        migrations.AddIndex(
            model_name="opportunity",
            index=models.Index(fields=["device_id", "local_on"], name="promotions_opportunity_device"),
        ),
        migrations.AddIndex(
            model_name="opportunity",
            index=models.Index(fields=["campaign", "planned_at"], name="promotions_opportunity_time"),
        ),
        migrations.AddConstraint(
            model_name="opportunity",
            constraint=models.UniqueConstraint(
                fields=("campaign", "device_id", "local_on"), name="promotions_opportunity_once_a_day"
            ),
        ),
        migrations.AddConstraint(
            model_name="prizelot",
            constraint=models.CheckConstraint(
                condition=models.Q(("quantity__gte", 1)), name="promotions_prize_lot_quantity"
            ),
        ),
        migrations.AddIndex(
            model_name="refusal",
            index=models.Index(fields=["campaign", "refused_at"], name="promotions_refusal_campaign"),
        ),
        migrations.AddIndex(
            model_name="refusal",
            index=models.Index(fields=["device_id", "refused_at"], name="promotions_refusal_device"),
        ),
        migrations.AddIndex(
            model_name="redemption",
            index=models.Index(fields=["staff_device", "-redeemed_at"], name="promotions_redemption_recent"),
        ),
        migrations.AddIndex(
            model_name="redemption",
            index=models.Index(fields=["store", "redeemed_at"], name="promotions_redemption_store"),
        ),
        migrations.AddConstraint(
            model_name="redemption",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_live", True)),
                fields=("coupon",),
                name="promotions_redemption_one_live",
            ),
        ),
        migrations.AddConstraint(
            model_name="redemption",
            constraint=models.UniqueConstraint(fields=("staff_device", "nonce"), name="promotions_redemption_nonce"),
        ),
        migrations.AddConstraint(
            model_name="redemption",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__isnull", True), ("amount__gte", 0), _connector="OR"),
                name="promotions_redemption_amount",
            ),
        ),
        migrations.AddConstraint(
            model_name="timewindow",
            constraint=models.CheckConstraint(
                condition=models.Q(("weekdays__gte", 1), ("weekdays__lte", 127)),
                name="promotions_window_weekdays",
            ),
        ),
        migrations.AddIndex(
            model_name="unlock",
            index=models.Index(fields=["device", "-granted_at", "-id"], name="promotions_unlock_wallet"),
        ),
        migrations.AddIndex(
            model_name="unlock",
            index=models.Index(fields=["campaign", "granted_at"], name="promotions_unlock_time"),
        ),
        migrations.AddConstraint(
            model_name="unlock",
            constraint=models.UniqueConstraint(fields=("campaign", "device"), name="promotions_unlock_once"),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.UniqueConstraint(fields=("code_digest",), name="promotions_coupon_code"),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.UniqueConstraint(fields=("token_digest",), name="promotions_coupon_token"),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(("valid_until__gt", models.F("valid_from"))),
                name="promotions_coupon_validity",
            ),
        ),
        migrations.AddIndex(
            model_name="winningmoment",
            index=models.Index(
                condition=models.Q(("taken_at__isnull", True)),
                fields=["campaign", "opens_at"],
                name="promotions_moment_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="winningmoment",
            constraint=models.UniqueConstraint(fields=("lot", "number"), name="promotions_moment_number"),
        ),
    ]
