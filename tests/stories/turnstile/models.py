"""Turnstiles and the devices that came to them. The tables are in the product's app, as those of every mechanic."""

from django.core.validators import MinValueValidator
from django.db import models

from promotions.models import Campaign, Unlock
from promotions.row_policies import (
    MANAGE,
    VIEW,
    Cascade,
    Export,
    Keep,
    Menu,
    NotPersonal,
    Owner,
    Roles,
    RowPolicy,
    Section,
    Unlisted,
    WithParent,
)


class Turnstile(models.Model):
    """One of the campaign's turnstiles.

    pii: none.
    """

    row_policy = RowPolicy(
        owner=Owner(brand="campaign__brand_id", partner="campaign__stores__partner_id", partners_only_view=True),
        roles=Roles(brand_manager=MANAGE, brand_analyst=VIEW, partner_manager=VIEW),
        menu=Unlisted("edited on its campaign's page"),
        retention=WithParent("campaign"),
        erasure=NotPersonal(),
    )

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="turnstiles")
    every = models.PositiveSmallIntegerField(validators=[MinValueValidator(2)])

    class Meta:
        app_label = "promotions"

    def __str__(self) -> str:
        return f"every {self.every}"


class Arrival(models.Model):
    """A device at the turnstile, by its number in the lane.

    pii: pseudonymous, through its unlock.
    """

    row_policy = RowPolicy(
        menu=Menu("arrivals", Section.FACTS, 95, "door_sliding"),
        retention=Keep(by="arrived_at", days=30),
        erasure=Cascade(by="unlock__device_id"),
        export=Export(order_by="arrived_at", columns=("lane", "number", "arrived_at")),
    )

    unlock = models.OneToOneField(Unlock, on_delete=models.CASCADE, related_name="arrival")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="+")
    lane = models.CharField(max_length=5)
    number = models.PositiveIntegerField()
    arrived_at = models.DateTimeField()

    class Meta:
        app_label = "promotions"
        constraints = [
            models.UniqueConstraint(fields=["campaign", "lane", "number"], name="promotions_arrival_number"),
        ]

    def __str__(self) -> str:
        return f"{self.lane} {self.number}"
