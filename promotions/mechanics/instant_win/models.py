"""Prizes, and the moments from which they can be won."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from promotions.models import Campaign
from promotions.row_policies import (
    MANAGE,
    VIEW,
    Audit,
    Detach,
    Menu,
    NotExported,
    NotPersonal,
    Owner,
    Roles,
    RowPolicy,
    Section,
    Unlisted,
    WithParent,
)


class PrizeLot(models.Model):
    """A number of units of one prize.

    pii: none.
    """

    row_policy = RowPolicy(
        owner=Owner(brand="campaign__brand_id", partner="campaign__stores__partner_id", partners_only_view=True),
        roles=Roles(brand_manager=MANAGE, brand_analyst=VIEW, partner_manager=VIEW),
        menu=Unlisted("edited on its campaign's page"),
        retention=WithParent("campaign"),
        erasure=NotPersonal(),
        audit=Audit(label="name", parent="campaign_id"),
    )

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="prize_lots")
    name = models.CharField(max_length=80, help_text="What staff give the winner.")
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["id"]
        constraints = [models.CheckConstraint(condition=Q(quantity__gte=1), name="promotions_prize_lot_quantity")]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.name}"


class WinningMoment(models.Model):
    """A moment that the first play from `opens_at` on wins. One play wins one moment; both sides are unique.

    pii: pseudonymous, through its unlock.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Winning moments"), Section.FACTS, 90, "emoji_events"),
        retention=WithParent("lot"),
        erasure=Detach(by="unlock__device_id"),
        export=NotExported("its unlock is exported"),
    )

    lot = models.ForeignKey(PrizeLot, on_delete=models.CASCADE, related_name="moments")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="moments")
    number = models.PositiveIntegerField()
    opens_at = models.DateTimeField()
    unlock = models.OneToOneField(
        "promotions.Unlock", on_delete=models.SET_NULL, null=True, related_name="winning_moment"
    )
    taken_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lot", "number"], name="promotions_moment_number")]
        indexes = [
            # A play looks for the earliest open moment of the campaign.
            models.Index(
                fields=["campaign", "opens_at"],
                condition=Q(taken_at__isnull=True),
                name="promotions_moment_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.lot_id}/{self.number}"
