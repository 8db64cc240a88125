"""Records of used proofs of presence, so that none counts twice."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from promotions.models.devices import Device
from promotions.models.tenants import Brand
from promotions.row_policies import Cascade, Export, Keep, Menu, NotPersonal, RowPolicy, Section

# A device's points are stored for a day: a group that works longer is found again the next day.
SIGHTING_HOURS = 24


class StoreCodeUse(models.Model):
    """A device sent the store's rotating code of one step. A unique constraint allows it once per step.

    pii: pseudonymous location event.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Store code uses"), Section.FACTS, 170, "qr_code"),
        # A use prevents a second one for half a minute and proves presence for ten. A day shows groups that pass codes.
        retention=Keep(by="used_at", hours=24, is_short_lived=True),
        erasure=Cascade(by="device_id"),
        export=Export(order_by="used_at", columns=("store__uuid", "step", "used_at")),
    )

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

    pii: pseudonymous.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Point sightings"), Section.FACTS, 160, "pin_drop"),
        retention=Keep(by="seen_at", hours=SIGHTING_HOURS, is_short_lived=True),
        erasure=Cascade(by="device_id"),
        export=Export(order_by="seen_at", columns=("point_digest", "seen_at")),
    )

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

    row_policy = RowPolicy(
        menu=Menu(_("Spent presence tokens"), Section.FACTS, 180, "verified"),
        # An expired token is refused whether its row exists or not.
        retention=Keep(by="expires_at", hours=24, is_short_lived=True),
        erasure=NotPersonal(),
    )

    jti = models.UUIDField(primary_key=True)
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="+")
    spent_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"spent at {self.spent_at:%Y-%m-%d %H:%M} UTC"
