"""The till: whose device scans, what it took, and what was taken back. Needs PostgreSQL only."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from promotions.models.offers import Coupon


class StaffMember(models.Model):
    """Someone of a store's staff, known to its tills by initials and a PIN.

    pii: initials; as long as they work there; deleted in admin.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="staff_members")
    initials = models.CharField(max_length=4)
    is_manager = models.BooleanField(
        default=False, help_text="May void for seven days, redemptions of other tills too."
    )
    # Django's password hash of six digits; five wrong tries lock it until a manager gives a new PIN.
    pin_hash = models.CharField(max_length=128, editable=False)
    failed_tries = models.PositiveSmallIntegerField(default=0, editable=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["initials"]
        constraints = [
            models.UniqueConstraint(fields=["store", "initials"], name="promotions_staff_member_initials"),
        ]

    def __str__(self) -> str:
        return self.initials


class StaffProfile(models.TextChoices):
    """What an enrolled device of a store may do."""

    TILL = "till", "till: takes coupons"
    KIOSK = "kiosk", "kiosk: shows the store's code"


class StaffDevice(models.Model):
    """A phone or tablet enrolled for one store. Its access token is random; only the digest is kept.

    pii: none (a device of the store, labelled by its manager).
    """

    Profile = StaffProfile

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="staff_devices")
    label = models.CharField(max_length=80)
    profile = models.CharField(max_length=5, choices=StaffProfile.choices, default=StaffProfile.TILL)
    is_manager = models.BooleanField(
        default=False, help_text="May void for seven days, redemptions of other devices too."
    )
    # Who stands at it now.
    staff_member = models.ForeignKey(
        StaffMember, on_delete=models.SET_NULL, null=True, blank=True, related_name="staff_devices", editable=False
    )
    signed_in_at = models.DateTimeField(null=True, editable=False)
    # How far its clock was ahead of ours when it last asked for its keys.
    clock_ahead_ms = models.BigIntegerField(null=True, editable=False)
    synced_at = models.DateTimeField(null=True, editable=False)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    enrolled_at = models.DateTimeField(editable=False)
    last_seen_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-enrolled_at"]

    def __str__(self) -> str:
        return self.label


class StaffEnrolment(models.Model):
    """A one-time token, shown as a QR in admin, that turns a browser into a staff device of one store.

    pii: none.
    """

    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="staff_enrolments")
    label = models.CharField(max_length=80)
    profile = models.CharField(max_length=5, choices=StaffProfile.choices, default=StaffProfile.TILL)
    is_manager = models.BooleanField(default=False)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(editable=False)
    expires_at = models.DateTimeField(editable=False)
    used_at = models.DateTimeField(null=True, editable=False)
    staff_device = models.OneToOneField(
        StaffDevice, on_delete=models.CASCADE, null=True, editable=False, related_name="enrolment"
    )

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.label


class Redemption(models.Model):
    """One unit of a coupon was taken at a till. `is_live` falls once, when a `Void` row is written beside it.

    pii: pseudonymous, through its coupon; 13 months; deleted by erasure.
    """

    class Source(models.TextChoices):
        CAMERA = "camera", "camera"
        TYPED = "typed", "typed"
        OFFLINE = "offline", "without network"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    coupon = models.ForeignKey(Coupon, on_delete=models.CASCADE, related_name="redemptions")
    unit = models.PositiveSmallIntegerField(default=1, help_text="Which of the coupon's units, from 1 on.")
    staff_device = models.ForeignKey(StaffDevice, on_delete=models.PROTECT, related_name="redemptions")
    staff_member = models.ForeignKey(
        StaffMember, on_delete=models.SET_NULL, null=True, blank=True, related_name="redemptions"
    )
    store = models.ForeignKey("geofence.Store", on_delete=models.PROTECT, related_name="+")
    nonce = models.UUIDField()
    # What was asked, so that the same nonce with another coupon is told apart from a repeat.
    fingerprint = models.BinaryField(max_length=32)
    source = models.CharField(max_length=7, choices=Source.choices)
    amount = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    scanned_at = models.DateTimeField(help_text="The staff device's clock.")
    redeemed_at = models.DateTimeField(help_text="The server's clock.")
    level = models.PositiveSmallIntegerField(
        default=0, help_text="How sure it was, apart from this scan, that the customer's phone was there."
    )
    is_vouched = models.BooleanField(default=False, help_text="Staff answered for the customer's presence.")
    is_live = models.BooleanField(default=True)

    class Meta:
        constraints = [
            # The guard against double redemption: not code, this.
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
        return f"redemption at {self.store.tell_time(self.redeemed_at)}"


class Void(models.Model):
    """A redemption taken back: who, when, why.

    pii: pseudonymous, through its redemption; 13 months; deleted by erasure.
    """

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
    """A scan that a till answered by itself and sent in later, with the server's verdict. The desk decides conflicts.

    pii: pseudonymous, through its coupon; 13 months; deleted by erasure.
    """

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", "accepted"
        CONFLICT = "conflict", "conflict: another till had taken it"
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
    value = models.DecimalField(max_digits=7, decimal_places=2, null=True, help_text="What the till gave away.")
    scanned_at = models.DateTimeField(help_text="The staff device's clock.")
    corrected_at = models.DateTimeField(help_text="The same on the server's clock, by the difference last seen.")
    received_at = models.DateTimeField()
    outcome = models.CharField(max_length=13, choices=Outcome.choices)
    reason = models.CharField(max_length=40, blank=True)
    redemption = models.OneToOneField(
        Redemption, on_delete=models.CASCADE, null=True, related_name="offline_scan", help_text="When accepted."
    )
    taken_before_by = models.ForeignKey(
        Redemption, on_delete=models.CASCADE, null=True, related_name="+", help_text="In a conflict: who was first."
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
            # A till's allowance: what it gave within the hours around a scan.
            models.Index(fields=["staff_device", "-corrected_at"], name="promotions_offline_scan_recent"),
            # The desk: what nobody has decided.
            models.Index(
                fields=["received_at"],
                condition=~Q(outcome="accepted") & Q(decision=""),
                name="promotions_offline_scan_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display().split(':')[0]} at {self.store.tell_time(self.scanned_at)}"


class WithdrawnCoupon(models.Model):
    """A coupon that was erased while tills without network might still take it: they are told its id until it ends.

    pii: none (a random number that leads to nobody any more); until the coupon would have ended.
    """

    coupon_id = models.UUIDField(primary_key=True)
    campaign = models.ForeignKey("promotions.Campaign", on_delete=models.CASCADE, related_name="+")
    store_ids = models.JSONField(help_text="Stores whose tills are told.")
    valid_until = models.DateTimeField()

    class Meta:
        indexes = [
            # What tills are told, and what retention drops.
            models.Index(fields=["valid_until"], name="promotions_withdrawn_until"),
        ]

    def __str__(self) -> str:
        return f"until {self.valid_until:%Y-%m-%d %H:%M} UTC"
