"""Brands, and the users that act for a brand or a partner."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from promotions.row_policies import (
    EDIT,
    VIEW,
    Audit,
    Forever,
    Menu,
    NotPersonal,
    Owner,
    Remains,
    Roles,
    RowPolicy,
    Section,
    WithParent,
)


class Brand(models.Model):
    """A brand that runs campaigns.

    pii: none.
    """

    row_policy = RowPolicy(
        owner=Owner(brand="pk"),
        roles=Roles(brand_manager=VIEW, brand_analyst=VIEW),
        menu=Menu(_("Brands"), Section.CAMPAIGNS, 20, "sell"),
        retention=Forever("until the operator deletes it in admin"),
        erasure=NotPersonal(),
        audit=Audit(label="name"),
    )

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=120)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["name"], name="promotions_brand_name")]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user acts for one brand or one partner; a superuser needs none.

    pii: account of a business user.
    """

    row_policy = RowPolicy(
        menu=Menu(_("Memberships"), Section.OPERATIONS, 30, "group"),
        retention=WithParent("user"),
        erasure=Remains("deleted with the user"),
        audit=Audit(parent="user_id"),
    )

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, null=True, blank=True, related_name="memberships")
    partner = models.ForeignKey(
        "geofence.Partner", on_delete=models.CASCADE, null=True, blank=True, related_name="memberships"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(brand__isnull=False, partner__isnull=True) | Q(brand__isnull=True, partner__isnull=False),
                name="promotions_membership_one_side",
            ),
            models.UniqueConstraint(fields=["user", "brand"], name="promotions_membership_brand"),
            models.UniqueConstraint(fields=["user", "partner"], name="promotions_membership_partner"),
        ]

    def __str__(self) -> str:
        return f"{self.user} for {self.brand or self.partner}"


class BrandToken(models.Model):
    """A credential with which a brand's own systems read its reports. Only the digest is stored.

    pii: none.
    """

    row_policy = RowPolicy(
        owner=Owner(brand="brand_id"),
        # A token is revoked, never deleted: its row is the record of it.
        roles=Roles(brand_manager=EDIT),
        menu=Menu(_("Brand tokens"), Section.CAMPAIGNS, 30, "key"),
        retention=WithParent("brand"),
        erasure=NotPersonal(),
        audit=Audit(label="label", sealed=("token_digest",)),
    )

    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="tokens")
    label = models.CharField(max_length=80)
    token_digest = models.BinaryField(max_length=32, unique=True, editable=False)
    created_at = models.DateTimeField(editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return self.label
