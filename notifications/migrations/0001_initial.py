import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Message",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("dedupe_key", models.CharField(max_length=120)),
                ("device_id", models.UUIDField()),
                ("title", models.CharField(max_length=120)),
                ("body", models.CharField(max_length=480)),
                ("data", models.JSONField(default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "pending"),
                            ("leased", "being sent"),
                            ("accepted", "accepted by the transport"),
                            ("expired", "expired"),
                            ("suppressed", "suppressed"),
                            ("failed", "failed for good"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=40)),
                ("request_id", models.CharField(blank=True, max_length=36)),
                ("created_at", models.DateTimeField()),
                ("next_attempt_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("settled_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("state__in", ["pending", "leased"])),
                        fields=["next_attempt_at"],
                        name="notifications_message_due",
                    ),
                    models.Index(fields=["device_id", "created_at"], name="notifications_message_device"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("dedupe_key",), name="notifications_message_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("settled_at__isnull", True), ("state__in", ["pending", "leased"])),
                            models.Q(
                                models.Q(("state__in", ["pending", "leased"]), _negated=True),
                                ("settled_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="notifications_message_settled",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("transport", models.CharField(max_length=20)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("accepted", "accepted"),
                            ("retry", "to be tried again"),
                            ("failed", "failed for good"),
                        ],
                        max_length=10,
                    ),
                ),
                ("error_code", models.CharField(blank=True, max_length=60)),
                ("provider_id", models.CharField(blank=True, max_length=200)),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempt_log",
                        to="notifications.message",
                    ),
                ),
            ],
            options={
                "ordering": ["-started_at"],
            },
        ),
        migrations.CreateModel(
            name="PushAddress",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("device_id", models.UUIDField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("console", "console"),
                            ("fcm_token", "FCM registration token"),
                            ("fcm_fid", "FCM installation id"),
                            ("apns", "APNs"),
                            ("webpush", "Web Push"),
                        ],
                        max_length=10,
                    ),
                ),
                ("address", models.TextField()),
                ("app_id", models.CharField(blank=True, max_length=120)),
                ("environment", models.CharField(blank=True, max_length=20)),
                ("is_active", models.BooleanField(default=True)),
                ("registered_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "push addresses",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("kind", "app_id", "address"), name="notifications_address_one_device"
                    ),
                    models.UniqueConstraint(fields=("device_id", "kind"), name="notifications_address_one_per_kind"),
                ],
            },
        ),
    ]
