"""The audit: one row per change of configuration or rights, and per action of staff."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("geofence", "0007_reword_labels"),
        ("promotions", "0026_record_sign_ins"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("recorded_at", models.DateTimeField()),
                (
                    "operation",
                    models.CharField(
                        choices=[("insert", "added"), ("update", "changed"), ("delete", "deleted"), ("action", "done")],
                        max_length=6,
                    ),
                ),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_id", models.CharField(blank=True, max_length=120)),
                ("action", models.CharField(blank=True, max_length=120)),
                ("reason", models.CharField(blank=True, max_length=300, verbose_name="reason")),
                ("request_id", models.CharField(blank=True, max_length=36, verbose_name="request id")),
                ("deed_id", models.UUIDField(null=True)),
                ("subject", models.CharField(blank=True, max_length=80)),
                ("subject_id", models.CharField(blank=True, max_length=64)),
                ("subject_label", models.CharField(blank=True, max_length=200)),
                ("parent", models.CharField(blank=True, max_length=80)),
                ("parent_id", models.CharField(blank=True, max_length=64)),
                ("changes", models.JSONField()),
                (
                    "brand",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="promotions.brand",
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="geofence.partner",
                    ),
                ),
            ],
            options={
                "verbose_name": "audit record",
                "verbose_name_plural": "who did it",
                "indexes": [
                    models.Index(fields=["recorded_at", "id"], name="promotions_audit_time"),
                    models.Index(fields=["brand", "recorded_at"], name="promotions_audit_brand"),
                    models.Index(fields=["partner", "recorded_at"], name="promotions_audit_partner"),
                    models.Index(fields=["subject", "subject_id", "recorded_at"], name="promotions_audit_subject"),
                    models.Index(fields=["parent", "parent_id", "recorded_at"], name="promotions_audit_parent"),
                    models.Index(fields=["deed_id"], name="promotions_audit_deed"),
                    models.Index(fields=["request_id"], name="promotions_audit_request"),
                ],
            },
        ),
    ]
