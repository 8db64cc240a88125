"""A brand's campaign in partners' stores: its offer, stores, hours and caps."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from promotions.models.kinds import list_kinds
from promotions.models.tenants import Brand
from promotions.row_policies import (
    MANAGE,
    VIEW,
    Audit,
    Forever,
    Menu,
    NotPersonal,
    Owner,
    Roles,
    RowPolicy,
    Section,
    Unlisted,
    WithParent,
)


class Campaign(models.Model):
    """One campaign of one brand. Its salt and holdout do not change while it runs, or the arms would mix.

    pii: none.
    """

    row_policy = RowPolicy(
        owner=Owner(brand="brand_id", partner="stores__partner_id", partners_only_view=True),
        roles=Roles(brand_manager=MANAGE, brand_analyst=VIEW, partner_manager=VIEW),
        menu=Menu(_("Campaigns"), Section.CAMPAIGNS, 10, "campaign"),
        retention=Forever("until its brand deletes it in admin"),
        erasure=NotPersonal(),
        # The version counts the edits, which are recorded themselves.
        audit=Audit(label="name", sealed=("salt", "seed"), ignored=("version",)),
    )

    class State(models.TextChoices):
        DRAFT = "draft", "draft"
        LIVE = "live", "live"
        PAUSED = "paused", "paused: no coupons are issued, issued ones stay valid"
        ENDED = "ended", "ended"

    class Trigger(models.TextChoices):
        APPROACH = "approach", "when a phone comes near"
        ENTER = "enter", "when a phone enters"
        DWELL = "dwell", "when a phone stays"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="campaigns")
    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=24, choices=list_kinds, default="coupon")
    state = models.CharField(max_length=8, choices=State.choices, default=State.DRAFT)
    stores = models.ManyToManyField("geofence.Store", related_name="campaigns")
    starts_on = models.DateField(help_text="First day, in each store's time zone.")
    ends_on = models.DateField(help_text="Last day (included), in each store's time zone.")

    # Empty: every device may have the offer; otherwise devices in at least one of these segments.
    segments = ArrayField(models.CharField(max_length=40), default=list, db_default=[], blank=True)

    offer_title = models.CharField(
        max_length=80, help_text="Shown to the customer, such as “Free coffee with any sandwich”."
    )
    benefit = models.CharField(max_length=80, help_text="What staff give the customer, such as “1 free coffee”.")
    terms = models.TextField(blank=True, help_text="Frozen into each coupon when it is issued.")
    units = models.PositiveSmallIntegerField(
        "uses of one coupon",
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(50)],
        help_text="“3 coffees” is 3: each scan redeems one.",
    )
    value = models.DecimalField(
        "value of one use",
        max_digits=7,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="What one use costs you. It counts against a till's offline allowance.",
    )
    asks_amount = models.BooleanField(
        "ask for the amount", default=False, help_text="Staff enter what the customer pays."
    )
    redeem_within_h = models.PositiveIntegerField(
        "redeem within (hours)",
        default=24,
        validators=[MinValueValidator(1)],
        help_text="How long an issued coupon is valid.",
    )
    redeems_in_hours = models.BooleanField(
        "valid only in the hours below",
        default=False,
        db_default=False,
        help_text="Tills refuse a coupon outside the campaign's hours. It keeps the hours of its issue.",
    )

    trigger = models.CharField(max_length=8, choices=Trigger.choices, default=Trigger.ENTER)
    message_title = models.CharField(
        max_length=80, blank=True, help_text="Leave it empty to send no message: customers find the offer in the app."
    )
    message_body = models.CharField(
        max_length=240, blank=True, help_text="Can contain {store}, {brand}, {offer} and {until}."
    )
    message_life_s = models.PositiveIntegerField(
        "message lifetime (s)",
        default=1200,
        help_text="A message that is not sent within this time is dropped.",
        validators=[MinValueValidator(60)],
    )
    messages_per_device = models.PositiveSmallIntegerField(
        default=3, help_text="In the whole campaign; at most one per day."
    )
    priority = models.SmallIntegerField(
        default=0,
        help_text="If two campaigns match at the same time, only the one with the higher priority sends its message.",
    )

    holdout_percent = models.PositiveSmallIntegerField(
        default=10,
        validators=[MaxValueValidator(50)],
        help_text="Share of phones that get no message, to measure the effect of the message.",
    )
    salt = models.CharField(max_length=32, editable=False)

    notify_level = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(4)])
    unlock_level = models.PositiveSmallIntegerField(default=1, validators=[MaxValueValidator(4)])
    redeem_level = models.PositiveSmallIntegerField(default=0, validators=[MaxValueValidator(4)])
    max_speed_mps = models.FloatField(
        "maximum speed inside (m/s)",
        default=3.0,
        validators=[MinValueValidator(1), MaxValueValidator(15)],
        help_text="Between two fixes inside, for level 2. 3 allows walking, 15 a drive-through.",
    )
    allows_vouching = models.BooleanField(
        "staff may vouch",
        default=False,
        help_text="Staff who see the customer may redeem without proof of the phone's presence.",
    )
    allows_offline = models.BooleanField(
        "tills may redeem it offline",
        default=False,
        help_text="An offline till may accept a coupon that another till has redeemed. Its allowance limits the loss.",
    )

    unlock_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="Maximum number of unlocks. Empty: no limit."
    )
    is_flash = models.BooleanField(default=False, help_text="Many phones at once: the cap is split over 16 rows.")
    redeem_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="Maximum number of uses at all tills. Empty: no limit."
    )
    store_redeem_cap = models.PositiveIntegerField(
        null=True, blank=True, help_text="Maximum number of uses at the tills of one store. Empty: no limit."
    )

    # Of a mechanic that draws. The seed is secret until the end; its commitment is published when the campaign opens.
    seed = models.BinaryField(max_length=32, null=True, editable=False)
    seed_commitment = models.CharField(max_length=64, blank=True, editable=False)

    created_at = models.DateTimeField(editable=False)
    opened_at = models.DateTimeField(null=True, editable=False)
    # Incremented by each edit and each change of state, so that an editor cannot overwrite what it has not seen.
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)

    class Meta:
        ordering = ["-starts_on", "name"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_on__gte=F("starts_on")), name="promotions_campaign_dates"),
            models.CheckConstraint(condition=Q(holdout_percent__lte=50), name="promotions_campaign_holdout"),
            models.CheckConstraint(
                condition=Q(notify_level__lte=4, unlock_level__lte=4, redeem_level__lte=4),
                name="promotions_campaign_levels",
            ),
            models.CheckConstraint(condition=Q(units__gte=1, units__lte=50), name="promotions_campaign_units"),
            # An offline till does not evaluate hours in its store's time zone.
            models.CheckConstraint(
                condition=Q(redeems_in_hours=False) | Q(allows_offline=False), name="promotions_campaign_hours_online"
            ),
        ]
        indexes = [
            # Used by the pipeline and the app: campaigns that run today.
            models.Index(fields=["starts_on", "ends_on"], condition=Q(state="live"), name="promotions_campaign_live"),
        ]

    def __str__(self) -> str:
        return self.name


class TimeWindow(models.Model):
    """Hours in which a campaign is open, in each store's own time zone. A campaign without any is open all day.

    pii: none.
    """

    row_policy = RowPolicy(
        owner=Owner(brand="campaign__brand_id", partner="campaign__stores__partner_id", partners_only_view=True),
        roles=Roles(brand_manager=MANAGE, brand_analyst=VIEW, partner_manager=VIEW),
        menu=Unlisted("edited on its campaign's page"),
        retention=WithParent("campaign"),
        erasure=NotPersonal(),
        audit=Audit(parent="campaign_id"),
    )

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="windows")
    # Monday is bit 0, as in `date.weekday()`.
    weekdays = models.PositiveSmallIntegerField(default=127)
    starts_at = models.TimeField("from")
    ends_at = models.TimeField(
        "until", help_text="Not included. Earlier than “from” means past midnight; 00:00 is the end of the day."
    )

    class Meta:
        ordering = ["starts_at"]
        constraints = [
            models.CheckConstraint(condition=Q(weekdays__gte=1, weekdays__lte=127), name="promotions_window_weekdays"),
        ]

    def __str__(self) -> str:
        return f"{self.starts_at:%H:%M}–{self.ends_at:%H:%M}"


class Budget(models.Model):
    """One slot of a campaign's cap. Only a conditional update changes it; the check constraint is a second guard.

    pii: none.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Budgets"), Section.OPERATIONS, 90, "savings"),
        retention=WithParent("campaign"),
        erasure=NotPersonal(),
    )

    class Scope(models.TextChoices):
        UNLOCK = "unlock", "unlocks"
        REDEEM = "redeem", "uses at tills"

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="budgets")
    scope = models.CharField(max_length=6, choices=Scope.choices, default=Scope.UNLOCK)
    # Null: the cap applies to all stores together.
    store = models.ForeignKey("geofence.Store", on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    slot = models.PositiveSmallIntegerField()
    cap = models.PositiveIntegerField()
    used = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "scope", "store", "slot"], nulls_distinct=False, name="promotions_budget_slot"
            ),
            models.CheckConstraint(condition=Q(used__gte=0, used__lte=F("cap")), name="promotions_budget_within_cap"),
        ]

    def __str__(self) -> str:
        return f"{self.used} of {self.cap}"
