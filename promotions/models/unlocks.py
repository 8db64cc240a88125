"""Unlocks, coupons, and reservations for an unlock."""

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from promotions.models.campaigns import Campaign
from promotions.models.devices import Device
from promotions.models.kinds import list_outcomes
from promotions.models.retention import ENDED_COUPON_DAYS, OFFER_DAYS
from promotions.row_policies import Cascade, Export, Keep, Menu, RowPolicy, Section


class Unlock(models.Model):
    """A campaign's offer granted to a device, once per campaign.

    pii: pseudonymous location event.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Unlocks"), Section.FACTS, 70, "lock_open"),
        retention=Keep(
            by="granted_at", days=OFFER_DAYS, not_before="coupon__valid_until", not_before_days=ENDED_COUPON_DAYS
        ),
        erasure=Cascade(by="device_id"),
        export=Export(
            order_by="granted_at", columns=("id", "campaign__uuid", "store__uuid", "outcome", "level", "granted_at")
        ),
    )

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="unlocks")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="unlocks")
    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="+")
    outcome = models.CharField(max_length=24, choices=list_outcomes)
    level = models.PositiveSmallIntegerField()
    granted_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["campaign", "device"], name="promotions_unlock_once")]
        indexes = [
            # The wallet, newest first, paged on (granted_at, id).
            models.Index(fields=["device", "-granted_at", "-id"], name="promotions_unlock_wallet"),
            models.Index(fields=["campaign", "granted_at"], name="promotions_unlock_time"),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} at {self.store.format_time(self.granted_at)}"


class Coupon(models.Model):
    """A device's right to one benefit, on the terms at the time of issue.

    Its code is derived from the id and a secret, and looked up by its digest. Its QR text is signed and names the id.

    pii: pseudonymous.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Coupons"), Section.FACTS, 80, "confirmation_number"),
        # A coupon goes with its unlock, which stays as long.
        retention=Keep(
            by="valid_from",
            days=OFFER_DAYS,
            not_before="valid_until",
            not_before_days=ENDED_COUPON_DAYS,
            or_with_parent="unlock",
        ),
        # Offline tills keep rejecting it until it expires.
        erasure=Cascade(by="device_id", first="promotions.services.devices.erasure.withdraw_coupons"),
        export=Export(
            order_by="valid_from",
            columns=(
                "id",
                "campaign__uuid",
                "source",
                "unlock_id",
                "benefit",
                "terms",
                "valid_from",
                "valid_until",
                "redeem_hours",
                "recalled_at",
            ),
        ),
    )

    class Source(models.TextChoices):
        UNLOCK = "unlock", "unlock"
        DRAW = "draw", "draw"
        REFERRAL = "referral", "referral"
        REWARD = "reward", "reward"
        IMPORT = "import", "import"
        GOODWILL = "goodwill", "goodwill"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    device = models.ForeignKey(
        Device, on_delete=models.CASCADE, db_index=False, related_name="coupons", help_text="The holder."
    )
    source = models.CharField(
        max_length=8,
        choices=Source.choices,
        default=Source.UNLOCK,
        db_default=Source.UNLOCK,
        help_text="How the holder got it.",
    )
    # An unlock and its coupon are deleted together.
    unlock = models.OneToOneField(
        Unlock, on_delete=models.CASCADE, null=True, related_name="coupon", help_text="Where the source is an unlock."
    )
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="coupons")
    generation = models.PositiveSmallIntegerField(default=0)
    code_digest = models.BinaryField(max_length=32)
    benefit = models.CharField(max_length=80)
    terms = models.TextField(blank=True)
    units = models.PositiveSmallIntegerField(default=1, help_text="How often it can be redeemed.")
    value = models.DecimalField(max_digits=7, decimal_places=2, null=True)
    asks_amount = models.BooleanField(default=False)
    redeem_level = models.PositiveSmallIntegerField(default=0)
    allows_vouching = models.BooleanField(default=False)
    allows_offline = models.BooleanField(default=False)
    store_ids = models.JSONField(help_text="Stores in which it is valid, frozen at issue.")
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(help_text="The first instant at which it is no longer valid.")
    redeem_hours = models.JSONField(
        default=list, db_default=[], help_text="Weekly hours in which it is valid, frozen at issue. Empty: always."
    )
    recalled_at = models.DateTimeField(null=True, help_text="Tills refuse it from this time on.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code_digest"], name="promotions_coupon_code"),
            models.CheckConstraint(
                condition=models.Q(valid_until__gt=models.F("valid_from")), name="promotions_coupon_validity"
            ),
            models.CheckConstraint(condition=models.Q(units__gte=1), name="promotions_coupon_units"),
            models.CheckConstraint(
                condition=models.Q(source="unlock", unlock__isnull=False)
                | (~models.Q(source="unlock") & models.Q(unlock__isnull=True)),
                name="promotions_coupon_source",
            ),
        ]
        indexes = [
            # A device's coupons, newest first.
            models.Index(fields=["device", "-valid_from"], name="promotions_coupon_holder"),
            # Coupons that tills may redeem offline: live ones of a campaign that allows it.
            models.Index(
                fields=["campaign", "valid_until"],
                condition=models.Q(allows_offline=True),
                name="promotions_coupon_offline",
            ),
            # The recalled ones of these; tills poll them every minute.
            models.Index(
                fields=["campaign", "valid_until"],
                condition=models.Q(allows_offline=True, recalled_at__isnull=False),
                name="promotions_coupon_recalled",
            ),
        ]

    def __str__(self) -> str:
        return self.benefit


class Reservation(models.Model):
    """“Keep my turn”: a unit of the campaign's cap reserved for a device on its way.

    It counts as used until `expires_at`. Then the next request takes it over, so no job has to release it.

    pii: pseudonymous.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Reservations"), Section.FACTS, 60, "hourglass_top"),
        # Both functions return the unit to the cap.
        retention=Keep(
            by="expires_at",
            is_short_lived=True,
            deleted_by="promotions.services.unlocks.reservations.drop_ended_turns",
        ),
        erasure=Cascade(by="device_id", first="promotions.services.unlocks.reservations.give_back_turns"),
        export=Export(order_by="reserved_at", columns=("campaign__uuid", "store__uuid", "reserved_at", "expires_at")),
    )

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="reservations")
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="reservations")
    store = models.ForeignKey("geofence.Store", on_delete=models.SET_NULL, null=True, related_name="+")
    reserved_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "device"], name="promotions_reservation_once"),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("reserved_at")), name="promotions_reservation_life"
            ),
        ]
        indexes = [
            # The oldest expired reservation, which the next request takes over.
            models.Index(fields=["campaign", "expires_at"], name="promotions_reservation_ended"),
        ]

    def __str__(self) -> str:
        return f"until {self.expires_at:%Y-%m-%d %H:%M} UTC"
