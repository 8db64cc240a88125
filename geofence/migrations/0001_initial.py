import uuid

import django.contrib.gis.db.models.fields
import django.db.models.deletion
from django.contrib.postgres.operations import CreateExtension
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        CreateExtension("postgis"),
        migrations.CreateModel(
            name="FenceSet",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("version", models.BigIntegerField(default=1)),
            ],
        ),
        migrations.CreateModel(
            name="LastFix",
            fields=[
                ("device_id", models.UUIDField(primary_key=True, serialize=False)),
                ("fix_time", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("cell_latitude_deg", models.FloatField(null=True)),
                ("cell_longitude_deg", models.FloatField(null=True)),
            ],
            options={
                "indexes": [models.Index(fields=["received_at"], name="geofence_lastfix_received")],
            },
        ),
        migrations.CreateModel(
            name="Partner",
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
                "constraints": [models.UniqueConstraint(fields=("name",), name="geofence_partner_name")],
            },
        ),
        migrations.CreateModel(
            name="Store",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("name", models.CharField(max_length=120)),
                ("address", models.CharField(blank=True, max_length=240)),
                ("timezone", models.CharField(help_text="IANA name, such as Europe/Paris.", max_length=64)),
                (
                    "opening_hours",
                    models.JSONField(
                        blank=True,
                        default=dict,
                        help_text='{"mon": [["09:00", "19:00"]], …}; a day left out is closed; empty: always open.',
                    ),
                ),
                ("latitude_deg", models.FloatField(help_text="Degrees, WGS 84.", verbose_name="latitude")),
                ("longitude_deg", models.FloatField(help_text="Degrees, WGS 84.", verbose_name="longitude")),
                (
                    "location",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Func(
                            models.Func(models.F("longitude_deg"), models.F("latitude_deg"), function="ST_MakePoint"),
                            4326,
                            function="ST_SetSRID",
                        ),
                        output_field=django.contrib.gis.db.models.fields.PointField(srid=4326),
                    ),
                ),
                ("is_active", models.BooleanField(default=True)),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="stores",
                        to="geofence.partner",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Geofence",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                (
                    "role",
                    models.CharField(
                        choices=[("store", "at the store"), ("approach", "approach ring")],
                        default="store",
                        max_length=10,
                    ),
                ),
                (
                    "shape",
                    models.CharField(
                        choices=[("circle", "circle"), ("polygon", "polygon")],
                        default="circle",
                        max_length=10,
                    ),
                ),
                ("latitude_deg", models.FloatField(verbose_name="centre latitude")),
                ("longitude_deg", models.FloatField(verbose_name="centre longitude")),
                (
                    "radius_m",
                    models.FloatField(
                        blank=True,
                        help_text="50–1,000 m; below 100 m phones often miss it. Circles only.",
                        null=True,
                    ),
                ),
                (
                    "area",
                    django.contrib.gis.db.models.fields.PolygonField(
                        blank=True, help_text="Polygons only.", null=True, srid=4326
                    ),
                ),
                (
                    "dwell_s",
                    models.PositiveIntegerField(default=180, help_text="Seconds inside until a visit counts."),
                ),
                ("version", models.PositiveIntegerField(default=1, editable=False)),
                ("is_active", models.BooleanField(default=True)),
                ("updated_at", models.DateTimeField(editable=False)),
                (
                    "store",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="geofences",
                        to="geofence.store",
                    ),
                ),
            ],
            options={
                "ordering": ["store_id", "role", "id"],
            },
        ),
        migrations.CreateModel(
            name="Visit",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("device_id", models.UUIDField()),
                ("geofence_version", models.PositiveIntegerField()),
                ("entered_at", models.DateTimeField()),
                ("last_inside_at", models.DateTimeField()),
                ("confirmed_at", models.DateTimeField(null=True)),
                (
                    "confirmed_by",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("dwell", "stayed"),
                            ("unlock", "unlocked there"),
                            ("scan", "scanned by staff"),
                        ],
                        max_length=8,
                    ),
                ),
                ("exited_at", models.DateTimeField(null=True)),
                (
                    "exit_reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("departed", "departed"),
                            ("gap", "no fixes"),
                            ("fence_removed", "fence removed"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "geofence",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="visits",
                        to="geofence.geofence",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="visits",
                        to="geofence.store",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GeofenceRevision",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("version", models.PositiveIntegerField()),
                (
                    "shape",
                    models.CharField(choices=[("circle", "circle"), ("polygon", "polygon")], max_length=10),
                ),
                ("latitude_deg", models.FloatField()),
                ("longitude_deg", models.FloatField()),
                ("radius_m", models.FloatField(null=True)),
                ("area", django.contrib.gis.db.models.fields.PolygonField(null=True, srid=4326)),
                ("changed_at", models.DateTimeField()),
                (
                    "geofence",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="revisions",
                        to="geofence.geofence",
                    ),
                ),
            ],
            options={
                "ordering": ["-version"],
                "constraints": [
                    models.UniqueConstraint(fields=("geofence", "version"), name="geofence_revision_version")
                ],
            },
        ),
        migrations.CreateModel(
            name="Presence",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("device_id", models.UUIDField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("outside", "outside"),
                            ("inside", "inside"),
                            ("dwelling", "dwelling"),
                            ("lingering", "lingering"),
                        ],
                        default="outside",
                        max_length=9,
                    ),
                ),
                ("last_fix_at", models.DateTimeField(null=True)),
                ("entered_at", models.DateTimeField(null=True)),
                ("inside_since_at", models.DateTimeField(null=True)),
                ("last_inside_at", models.DateTimeField(null=True)),
                ("left_at", models.DateTimeField(null=True)),
                ("departing_at", models.DateTimeField(null=True)),
                ("dwelled_at", models.DateTimeField(null=True)),
                ("barred", models.BooleanField(default=False)),
                ("inside_fixes", models.PositiveIntegerField(default=0)),
                ("best_accuracy_m", models.FloatField(null=True)),
                (
                    "geofence",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="presences",
                        to="geofence.geofence",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("device_id", "geofence"), name="geofence_presence_pair")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="store",
            constraint=models.CheckConstraint(
                condition=models.Q(("latitude_deg__gte", -90), ("latitude_deg__lte", 90)),
                name="geofence_store_latitude",
            ),
        ),
        migrations.AddConstraint(
            model_name="store",
            constraint=models.CheckConstraint(
                condition=models.Q(("longitude_deg__gte", -180), ("longitude_deg__lte", 180)),
                name="geofence_store_longitude",
            ),
        ),
        migrations.AddConstraint(
            model_name="geofence",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("area__isnull", True),
                        ("radius_m__gte", 50),
                        ("radius_m__lte", 1000),
                        ("shape", "circle"),
                    ),
                    models.Q(
                        ("area__isnull", False),
                        ("area__isvalid", True),
                        ("radius_m__isnull", True),
                        ("shape", "polygon"),
                    ),
                    _connector="OR",
                ),
                name="geofence_geofence_shape",
            ),
        ),
        migrations.AddConstraint(
            model_name="geofence",
            constraint=models.CheckConstraint(
                condition=models.Q(("latitude_deg__gte", -90), ("latitude_deg__lte", 90)),
                name="geofence_geofence_latitude",
            ),
        ),
        migrations.AddConstraint(
            model_name="geofence",
            constraint=models.CheckConstraint(
                condition=models.Q(("longitude_deg__gte", -180), ("longitude_deg__lte", 180)),
                name="geofence_geofence_longitude",
            ),
        ),
        migrations.AddIndex(
            model_name="visit",
            index=models.Index(fields=["store", "entered_at"], name="geofence_visit_store_time"),
        ),
        migrations.AddIndex(
            model_name="visit",
            index=models.Index(fields=["device_id", "entered_at"], name="geofence_visit_device_time"),
        ),
        migrations.AddConstraint(
            model_name="visit",
            constraint=models.UniqueConstraint(
                condition=models.Q(("exited_at__isnull", True)),
                fields=("device_id", "geofence"),
                name="geofence_visit_one_open",
            ),
        ),
    ]
