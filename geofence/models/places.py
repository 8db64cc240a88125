"""Partners, their stores, and the fences of these, with their versions."""

import uuid
from datetime import datetime
from zoneinfo import ZoneInfo

from django.contrib.gis.db import models
from django.db.models import F, Q


class Partner(models.Model):
    """A partner that owns stores.

    pii: none.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["name"], name="geofence_partner_name")]

    def __str__(self) -> str:
        return self.name


class Store(models.Model):
    """A shop with a position, a time zone and opening hours.

    pii: none.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="stores")
    name = models.CharField(max_length=120)
    address = models.CharField(max_length=240, blank=True)
    timezone = models.CharField(max_length=64, help_text="IANA name, such as Europe/Paris.")
    opening_hours = models.JSONField(
        default=dict,
        blank=True,
        help_text='{"mon": [["09:00", "19:00"]], …}; a missing day is closed; empty: always open.',
    )
    latitude_deg = models.FloatField("latitude", help_text="Degrees, WGS 84.")
    longitude_deg = models.FloatField("longitude", help_text="Degrees, WGS 84.")
    # The database derives it from the two numbers above, so the two forms cannot differ.
    location = models.GeneratedField(
        expression=models.Func(
            models.Func(F("longitude_deg"), F("latitude_deg"), function="ST_MakePoint"),
            4326,
            function="ST_SetSRID",
        ),
        output_field=models.PointField(srid=4326),
        db_persist=True,
    )
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            # NaN compares above every number in PostgreSQL, so the bounds refuse it too.
            models.CheckConstraint(
                condition=Q(latitude_deg__gte=-90, latitude_deg__lte=90), name="geofence_store_latitude"
            ),
            models.CheckConstraint(
                condition=Q(longitude_deg__gte=-180, longitude_deg__lte=180), name="geofence_store_longitude"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def format_time(self, instant: datetime) -> str:
        """Format an instant in the store's local time, with its time zone."""
        return f"{instant.astimezone(ZoneInfo(self.timezone)):%Y-%m-%d %H:%M:%S} {self.timezone}"


class Geofence(models.Model):
    """The area in which a phone counts as being at a store (`store`) or near it (`approach`).

    A change keeps the row, increments `version` and stores a copy in `GeofenceRevision`. Presence survives an edit.

    pii: none.
    """

    class Role(models.TextChoices):
        STORE = "store", "at the store"
        APPROACH = "approach", "approach ring"

    class Shape(models.TextChoices):
        CIRCLE = "circle", "circle"
        POLYGON = "polygon", "polygon"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="geofences")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.STORE)
    shape = models.CharField(max_length=10, choices=Shape.choices, default=Shape.CIRCLE)
    latitude_deg = models.FloatField("centre latitude")
    longitude_deg = models.FloatField("centre longitude")
    radius_m = models.FloatField(
        null=True, blank=True, help_text="50 to 1,000 m; phones often miss less than 100 m. Circles only."
    )
    area = models.PolygonField(srid=4326, null=True, blank=True, help_text="Polygons only.")
    dwell_s = models.PositiveIntegerField(default=180, help_text="Seconds inside after which a visit counts.")
    version = models.PositiveIntegerField(default=1, editable=False)
    is_active = models.BooleanField(default=True)
    updated_at = models.DateTimeField(editable=False)

    class Meta:
        ordering = ["store_id", "role", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(shape="circle", radius_m__gte=50, radius_m__lte=1000, area__isnull=True)
                | Q(shape="polygon", area__isnull=False, area__isvalid=True, radius_m__isnull=True),
                name="geofence_geofence_shape",
            ),
            models.CheckConstraint(
                condition=Q(latitude_deg__gte=-90, latitude_deg__lte=90), name="geofence_geofence_latitude"
            ),
            models.CheckConstraint(
                condition=Q(longitude_deg__gte=-180, longitude_deg__lte=180),
                name="geofence_geofence_longitude",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} ({self.get_shape_display()})"


class GeofenceRevision(models.Model):
    """The shape of a fence in one of its versions; never changed.

    pii: none.
    """

    geofence = models.ForeignKey(Geofence, on_delete=models.CASCADE, related_name="revisions")
    version = models.PositiveIntegerField()
    shape = models.CharField(max_length=10, choices=Geofence.Shape.choices)
    latitude_deg = models.FloatField()
    longitude_deg = models.FloatField()
    radius_m = models.FloatField(null=True)
    area = models.PolygonField(srid=4326, null=True)
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["-version"]
        constraints = [models.UniqueConstraint(fields=["geofence", "version"], name="geofence_revision_version")]

    def __str__(self) -> str:
        return f"version {self.version}"


class FenceSet(models.Model):
    """One row: the version of the current set of fences. A database trigger increments it on every edit.

    pii: none.
    """

    version = models.BigIntegerField(default=1)

    def __str__(self) -> str:
        return f"fence set {self.version}"
