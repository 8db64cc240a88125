"""What proofs of presence leave behind, so that none counts twice."""

from django.db import models

from promotions.models.devices import Device
from promotions.models.tenants import Brand


class StoreCodeUse(models.Model):
    """A device showed the store's rotating code of one step; once.

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
            # How many devices used one step: a ring that passes codes on.
            models.Index(fields=["store", "step"], name="promotions_store_code_use_step"),
        ]

    def __str__(self) -> str:
        return f"step {self.step}"


class PointSighting(models.Model):
    """A device asked for an offer from exactly this point. Many devices on one point are one hand.

    The point is a keyed hash of all its digits: equal points are recognised, none can be read.

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
    """A presence token that its brand has taken. The primary key is the guard: a token is good once.

    pii: none (a random number).
    """

    jti = models.UUIDField(primary_key=True)
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="+")
    spent_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"spent at {self.spent_at:%Y-%m-%d %H:%M} UTC"
