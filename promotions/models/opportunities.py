"""Opportunities (a device passed every gate of a campaign) and refusals."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from promotions.models.campaigns import Campaign
from promotions.models.retention import OFFER_DAYS
from promotions.models.unlocks import Coupon
from promotions.row_policies import Delete, Export, Keep, Menu, RowPolicy, Section


class Opportunity(models.Model):
    """A device passed every gate of a campaign. Both arms get the same row; only the message differs.

    Before retention deletes its visit and message, it copies their part of the report to this row.

    pii: pseudonymous location event, the time to the visit as a span only.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Opportunities"), Section.FACTS, 20, "ads_click"),
        retention=Keep(by="planned_at", days=OFFER_DAYS),
        erasure=Delete(by="device_id"),
        export=Export(
            order_by="planned_at",
            columns=(
                "campaign__uuid",
                "store__uuid",
                "fix_time",
                "planned_at",
                "local_on",
                "visited_within_minutes",
                "message_state",
                "message_reason",
            ),
        ),
    )

    class Arm(models.TextChoices):
        TREATED = "treated", "treated"
        CONTROL = "control", "control"

    # Derived from campaign, device and day, so that processing a fix twice writes the same row.
    id = models.UUIDField(primary_key=True)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="opportunities")
    device_id = models.UUIDField()
    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, related_name="+")
    arm = models.CharField(max_length=8, choices=Arm.choices)
    fix_time = models.DateTimeField()
    planned_at = models.DateTimeField(help_text="When the message is sent or, in the control arm, would be sent.")
    local_on = models.DateField(help_text="Date of the fix in the store's time zone.")
    request_id = models.CharField(max_length=36, blank=True)
    visited_within_minutes = models.PositiveSmallIntegerField(
        null=True, help_text="The shortest span of the report with a visit; set when the visit is deleted."
    )
    message_state = models.CharField(
        max_length=10,
        blank=True,
        default="",
        db_default="",
        help_text="Taken from its message; set when the message is deleted.",
    )
    message_reason = models.CharField(max_length=40, blank=True, default="", db_default="")

    class Meta:
        verbose_name_plural = "opportunities"
        constraints = [
            # A device gets one message of a campaign per day at most, however often its fixes are processed.
            models.UniqueConstraint(
                fields=["campaign", "device_id", "local_on"], name="promotions_opportunity_once_a_day"
            ),
        ]
        indexes = [
            # Caps: recent opportunities of a device in all campaigns. Export and erasure.
            models.Index(fields=["device_id", "local_on"], name="promotions_opportunity_device"),
            # Reports: arms over time.
            models.Index(fields=["campaign", "planned_at"], name="promotions_opportunity_time"),
        ]

    def __str__(self) -> str:
        return f"{self.arm} on {self.local_on}"


class Refusal(models.Model):
    """A refused request of a phone or a till. Stored because brands count the devices that come afterwards.

    Before retention deletes its visit, it copies the figures for the report to this row.

    pii: pseudonymous location event, distance and time to the visit as spans only.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Refusals"), Section.FACTS, 50, "block"),
        retention=Keep(by="refused_at", days=OFFER_DAYS),
        # Those of a till lead to a coupon only, and are deleted with it.
        erasure=Delete(by="device_id"),
        export=Export(
            order_by="refused_at",
            columns=(
                "stage",
                "reason",
                "campaign__uuid",
                "store__uuid",
                "distance_bucket",
                "level",
                "refused_at",
                "was_inside",
                "arrived_within_minutes",
            ),
        ),
    )

    class Stage(models.TextChoices):
        UNLOCK = "unlock", "unlock"
        REDEEM = "redeem", "redeem"

    stage = models.CharField(max_length=6, choices=Stage.choices)
    reason = models.CharField(max_length=40)
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, null=True, related_name="refusals")
    device_id = models.UUIDField(null=True)
    store = models.ForeignKey("geofence.Store", on_delete=models.SET_NULL, null=True, related_name="+")
    staff_device = models.ForeignKey("promotions.StaffDevice", on_delete=models.SET_NULL, null=True, related_name="+")
    coupon = models.ForeignKey(Coupon, on_delete=models.CASCADE, null=True, related_name="refusals")
    distance_bucket = models.CharField(max_length=16, blank=True)
    level = models.PositiveSmallIntegerField(null=True)
    refused_at = models.DateTimeField()
    was_inside = models.BooleanField(
        default=False, db_default=False, help_text="Already at a store of the campaign; set when the visit is deleted."
    )
    arrived_within_minutes = models.PositiveSmallIntegerField(
        null=True, help_text="The shortest span of the report with a visit; set when the visit is deleted."
    )

    class Meta:
        indexes = [
            # Arrivals after a refusal: refusals of a campaign, joined to visits by device.
            models.Index(fields=["campaign", "refused_at"], name="promotions_refusal_campaign"),
            models.Index(fields=["device_id", "refused_at"], name="promotions_refusal_device"),
        ]

    def __str__(self) -> str:
        return self.reason
