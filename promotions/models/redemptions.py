"""Redemptions at the till, voids and offline scans. They need PostgreSQL only."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from promotions.models.retention import OFFER_DAYS
from promotions.models.staff import StaffDevice, StaffMember
from promotions.models.unlocks import Coupon
from promotions.row_policies import (
    VIEW,
    Audit,
    Cascade,
    Export,
    Keep,
    Menu,
    NotPersonal,
    Owner,
    Roles,
    RowPolicy,
    Section,
    WithParent,
)


class Redemption(models.Model):
    """One unit of a coupon, redeemed at a till. `is_live` becomes false once, when a `Void` row is written.

    pii: pseudonymous, through its coupon.
    """

    row_policy = RowPolicy(
        owner=Owner(partner="store__partner_id"),
        roles=Roles(partner_manager=VIEW),
        menu=Menu(_("Redemptions"), Section.TILL, 40, "redeem"),
        retention=WithParent("coupon"),
        erasure=Cascade(by="coupon__device_id"),
        export=Export(
            order_by="redeemed_at", columns=("id", "coupon_id", "store__uuid", "amount", "redeemed_at", "is_live")
        ),
    )

    class Source(models.TextChoices):
        CAMERA = "camera", "camera"
        TYPED = "typed", "typed"
        OFFLINE = "offline", "offline"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    coupon = models.ForeignKey(Coupon, on_delete=models.CASCADE, related_name="redemptions")
    unit = models.PositiveSmallIntegerField(default=1, help_text="Number of the coupon's unit, from 1.")
    staff_device = models.ForeignKey(StaffDevice, on_delete=models.PROTECT, related_name="redemptions")
    staff_member = models.ForeignKey(
        StaffMember, on_delete=models.SET_NULL, null=True, blank=True, related_name="redemptions"
    )
    store = models.ForeignKey("geofence.Store", on_delete=models.PROTECT, related_name="+")
    nonce = models.UUIDField()
    # The requested coupon: distinguishes a repeat from the same nonce with another coupon.
    fingerprint = models.BinaryField(max_length=32)
    source = models.CharField(max_length=7, choices=Source.choices)
    amount = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    scanned_at = models.DateTimeField(help_text="The staff device's clock.")
    redeemed_at = models.DateTimeField(help_text="The server's clock.")
    level = models.PositiveSmallIntegerField(
        default=0, help_text="Assurance level of the phone's presence, without this scan."
    )
    is_vouched = models.BooleanField(default=False, help_text="Staff confirmed the customer's presence.")
    is_live = models.BooleanField(default=True)

    class Meta:
        constraints = [
            # This constraint, not code, is the guard against double redemption.
            models.UniqueConstraint(
                fields=["coupon", "unit"], condition=Q(is_live=True), name="promotions_redemption_one_live"
            ),
            # The guard against a repeated request.
            models.UniqueConstraint(fields=["staff_device", "nonce"], name="promotions_redemption_nonce"),
            models.CheckConstraint(
                condition=Q(amount__isnull=True) | Q(amount__gte=0), name="promotions_redemption_amount"
            ),
            models.CheckConstraint(condition=Q(unit__gte=1), name="promotions_redemption_unit"),
        ]
        indexes = [
            # The last scans of a device; reports by store.
            models.Index(fields=["staff_device", "-redeemed_at"], name="promotions_redemption_recent"),
            models.Index(fields=["store", "redeemed_at"], name="promotions_redemption_store"),
        ]

    def __str__(self) -> str:
        return f"redemption at {self.store.format_time(self.redeemed_at)}"


class Void(models.Model):
    """A voided redemption: by which device or user, when, and why.

    pii: pseudonymous, through its redemption.
    """

    row_policy = RowPolicy(
        owner=Owner(partner="redemption__store__partner_id"),
        # Adding one voids a redemption.
        roles=Roles(partner_manager=("view", "add")),
        menu=Menu(_("Voids"), Section.TILL, 50, "undo"),
        retention=WithParent("redemption"),
        erasure=Cascade(by="redemption__coupon__device_id"),
        export=Export(order_by="voided_at", columns=("redemption_id", "reason", "voided_at")),
        audit=Audit(operations=("insert",), sealed=("note",), parent="redemption_id"),
    )

    class Reason(models.TextChoices):
        MISTAKE = "mistake", "scanned by mistake"
        RETURNED = "returned", "goods returned"
        NOT_GIVEN = "not_given", "benefit not given"
        OTHER = "other", "other"

    redemption = models.OneToOneField(Redemption, on_delete=models.CASCADE, related_name="void")
    staff_device = models.ForeignKey(StaffDevice, on_delete=models.PROTECT, null=True, related_name="voids")
    staff_member = models.ForeignKey(StaffMember, on_delete=models.SET_NULL, null=True, related_name="voids")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=10, choices=Reason.choices)
    note = models.CharField(max_length=240, blank=True)
    voided_at = models.DateTimeField()

    class Meta:
        ordering = ["-voided_at"]

    def __str__(self) -> str:
        return self.get_reason_display()


class OfflineScan(models.Model):
    """A scan that a till answered offline and sent later, with the server's verdict. Admin users decide conflicts.

    pii: pseudonymous, through its coupon.
    """

    row_policy = RowPolicy(
        owner=Owner(brand="coupon__campaign__brand_id", partner="store__partner_id", partners_only_view=True),
        # Changing one decides who pays. The brand pays, so the partner only views it.
        roles=Roles(brand_manager=("view", "change"), partner_manager=VIEW),
        menu=Menu(_("Offline scans"), Section.TILL, 60, "wifi_off"),
        # Those without a coupon; the others are deleted with theirs.
        retention=Keep(by="received_at", days=OFFER_DAYS),
        erasure=Cascade(by="coupon__device_id"),
        export=Export(
            order_by="scanned_at",
            columns=(
                "coupon_id",
                "store__uuid",
                "amount",
                "scanned_at",
                "corrected_at",
                "received_at",
                "outcome",
                "redemption_id",
            ),
        ),
        audit=Audit(only=("decision",), operations=("update",)),
    )

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", "accepted"
        CONFLICT = "conflict", "conflict: already redeemed at another till"
        OUT_OF_POLICY = "out_of_policy", "out of policy"

    class Decision(models.TextChoices):
        HONOURED = "honoured", "the partner is paid for it"
        DECLINED = "declined", "the partner is not paid for it"

    staff_device = models.ForeignKey(StaffDevice, on_delete=models.PROTECT, related_name="offline_scans")
    staff_member = models.ForeignKey(StaffMember, on_delete=models.SET_NULL, null=True, related_name="+")
    store = models.ForeignKey("geofence.Store", on_delete=models.PROTECT, related_name="+")
    nonce = models.UUIDField()
    fingerprint = models.BinaryField(max_length=32)
    coupon = models.ForeignKey(Coupon, on_delete=models.CASCADE, null=True, related_name="offline_scans")
    amount = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    value = models.DecimalField(max_digits=7, decimal_places=2, null=True, help_text="Value that the till gave away.")
    scanned_at = models.DateTimeField(help_text="The staff device's clock.")
    corrected_at = models.DateTimeField(help_text="The same time on the server's clock, by the last known difference.")
    received_at = models.DateTimeField()
    outcome = models.CharField(max_length=13, choices=Outcome.choices)
    reason = models.CharField(max_length=40, blank=True)
    redemption = models.OneToOneField(
        Redemption,
        on_delete=models.CASCADE,
        null=True,
        related_name="offline_scan",
        help_text="Set if the scan was accepted.",
    )
    taken_before_by = models.ForeignKey(
        Redemption,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
        help_text="In a conflict: the earlier redemption.",
    )
    decision = models.CharField(max_length=8, choices=Decision.choices, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-received_at"]
        constraints = [
            models.UniqueConstraint(fields=["staff_device", "nonce"], name="promotions_offline_scan_nonce"),
        ]
        indexes = [
            # A till's allowance: its redemptions within the hours around a scan.
            models.Index(fields=["staff_device", "-corrected_at"], name="promotions_offline_scan_recent"),
            # Admin: undecided scans.
            models.Index(
                fields=["received_at"],
                condition=~Q(outcome="accepted") & Q(decision=""),
                name="promotions_offline_scan_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display().split(':')[0]} at {self.store.format_time(self.scanned_at)}"


class WithdrawnCoupon(models.Model):
    """A coupon erased while offline tills might still redeem it. Tills receive its id until it expires.

    pii: none (a random number that no longer leads to a person).
    """

    row_policy = RowPolicy(
        menu=Menu(_("Withdrawn coupons"), Section.OPERATIONS, 100, "block"),
        # They expire at the end of the campaign's day, all at the same time.
        retention=Keep(by="valid_until", is_short_lived=True),
        erasure=NotPersonal(),
    )

    coupon_id = models.UUIDField(primary_key=True)
    campaign = models.ForeignKey("promotions.Campaign", on_delete=models.CASCADE, related_name="+")
    store_ids = models.JSONField(help_text="Stores whose tills refuse it.")
    valid_until = models.DateTimeField()

    class Meta:
        indexes = [
            # Read by tills and by retention.
            models.Index(fields=["valid_until"], name="promotions_withdrawn_until"),
        ]

    def __str__(self) -> str:
        return f"until {self.valid_until:%Y-%m-%d %H:%M} UTC"
