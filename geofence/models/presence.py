"""Presence of devices at fences, their visits, and their last fixes."""

from django.contrib.gis.db import models
from django.db.models import Q

from geofence.models.places import Geofence, Store


class Visit(models.Model):
    """One stay of a device at a store. Counted once `confirmed_at` is set; the rest are pass-bys.

    pii: pseudonymous location event.
    """

    class ConfirmedBy(models.TextChoices):
        DWELL = "dwell", "stayed"
        UNLOCK = "unlock", "unlocked there"
        SCAN = "scan", "scanned by staff"

    class ExitReason(models.TextChoices):
        DEPARTED = "departed", "departed"
        GAP = "gap", "no fixes"
        FENCE_REMOVED = "fence_removed", "fence removed"

    # Derived from device, fence and entry time, so that processing a fix twice writes the same row.
    id = models.UUIDField(primary_key=True)
    device_id = models.UUIDField()
    geofence = models.ForeignKey(Geofence, on_delete=models.CASCADE, related_name="visits")
    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="visits")
    geofence_version = models.PositiveIntegerField()
    entered_at = models.DateTimeField()
    last_inside_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    confirmed_by = models.CharField(max_length=8, choices=ConfirmedBy.choices, blank=True)
    exited_at = models.DateTimeField(null=True)
    exit_reason = models.CharField(max_length=16, choices=ExitReason.choices, blank=True)

    class Meta:
        constraints = [
            # Two workers cannot open the same stay twice.
            models.UniqueConstraint(
                fields=["device_id", "geofence"],
                condition=Q(exited_at__isnull=True),
                name="geofence_visit_one_open",
            ),
        ]
        indexes = [
            # Reports: visits to a store in a span of time.
            models.Index(fields=["store", "entered_at"], name="geofence_visit_store_time"),
            # Arrivals after a refusal or a message. Export and erasure.
            models.Index(fields=["device_id", "entered_at"], name="geofence_visit_device_time"),
        ]

    def __str__(self) -> str:
        return f"visit {self.id}"


class Presence(models.Model):
    """State of one device at one fence: the columns are the fields of `logic.presence.PresenceState`.

    pii: pseudonymous location state.
    """

    class State(models.TextChoices):
        OUTSIDE = "outside", "outside"
        INSIDE = "inside", "inside"
        DWELLING = "dwelling", "dwelling"
        LINGERING = "lingering", "lingering"

    device_id = models.UUIDField()
    geofence = models.ForeignKey(Geofence, on_delete=models.CASCADE, related_name="presences")
    state = models.CharField(max_length=9, choices=State.choices, default=State.OUTSIDE)
    last_fix_at = models.DateTimeField(null=True)
    entered_at = models.DateTimeField(null=True)
    inside_since_at = models.DateTimeField(null=True)
    last_inside_at = models.DateTimeField(null=True)
    left_at = models.DateTimeField(null=True)
    departing_at = models.DateTimeField(null=True)
    dwelled_at = models.DateTimeField(null=True)
    barred = models.BooleanField(default=False)
    inside_fixes = models.PositiveIntegerField(default=0)
    best_accuracy_m = models.FloatField(null=True)

    class Meta:
        constraints = [
            # The upsert key; also finds all rows of a batch's devices.
            models.UniqueConstraint(fields=["device_id", "geofence"], name="geofence_presence_pair"),
        ]

    def __str__(self) -> str:
        return f"{self.state} since {self.inside_since_at}"


class LastFix(models.Model):
    """Time of a device's last fix, its cell of about one kilometre, and signs that its fixes are not genuine.

    pii: coarse location.
    """

    device_id = models.UUIDField(primary_key=True)
    fix_time = models.DateTimeField()
    received_at = models.DateTimeField()
    cell_latitude_deg = models.FloatField(null=True)
    cell_longitude_deg = models.FloatField(null=True)
    # Time of the cell: a fix too inaccurate to locate the phone changes `fix_time` only.
    cell_at = models.DateTimeField(null=True)
    # A keyed hash of all digits of the position, and how many fixes in a row repeated it: real receivers vary.
    point_digest = models.BigIntegerField(null=True)
    repeats = models.PositiveSmallIntegerField(default=0, db_default=0)
    # The end of the penalty after an impossible jump: until then nothing proves the device's presence.
    jump_hold_until = models.DateTimeField(null=True)
    # Arrival of the first fix outside every store, on the way since then without a jump. By the server's clock.
    away_since_at = models.DateTimeField(null=True)

    # No index on `received_at`: each fix of each phone would have to change it. Retention scans the table.

    class Meta:
        verbose_name_plural = "last fixes"

    def __str__(self) -> str:
        return f"last fix of {self.device_id}"
