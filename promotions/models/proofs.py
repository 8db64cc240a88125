"""Records of used proofs of presence, so that none counts twice."""

from django.db import models

from promotions.models.devices import Device
from promotions.models.tenants import Brand


class StoreCodeUse(models.Model):
    """A device sent the store's rotating code of one step; once per step.

    pii: pseudonymous location event; 24 hours; deleted by erasure.
    """

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="+")
    step = models.BigIntegerField(help_text="Seconds since 1970 divided by the step's length.")
    used_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["device", "store", "step"], name="promotions_store_code_use_once"),
        ]
        indexes = [
            # Count the devices of one step, to find groups that pass codes on.
            models.Index(fields=["store", "step"], name="promotions_store_code_use_step"),
        ]

    def __str__(self) -> str:
        return f"step {self.step}"


class PointSighting(models.Model):
    """A device requested an offer from exactly this point. Many devices on one point suggest one operator.

    The point is a keyed hash of all its digits: equal points match, but no point can be read.

    pii: pseudonymous; 24 hours; deleted by erasure.
    """

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
    point_digest = models.BigIntegerField()
    seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["point_digest", "device"], name="promotions_point_sighting_once"),
        ]

    def __str__(self) -> str:
        return f"seen at {self.seen_at:%Y-%m-%d %H:%M} UTC"


class SpentPresenceToken(models.Model):
    """A presence token that its brand has spent. The primary key ensures that a token is valid once.

    pii: none (a random number).
    """

    jti = models.UUIDField(primary_key=True)
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="+")
    spent_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"spent at {self.spent_at:%Y-%m-%d %H:%M} UTC"
