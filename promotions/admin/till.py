"""What tills took, and what was taken back. Facts."""

from django.contrib import admin
from unfold.decorators import display

from geofence.admin import at_store
from promotions.admin.base import FactAdmin, ScopedRelatedFilter
from promotions.models import Redemption, Void


@admin.register(Redemption)
class RedemptionAdmin(FactAdmin):
    """Redemptions: a partner sees those of its stores, with the benefit and never the customer."""

    list_display = ["redeemed", "store", "staff_device", "benefit", "amount", "source", "is_live"]
    list_filter = ["is_live", "source", ("store", ScopedRelatedFilter), ("redeemed_at", admin.DateFieldListFilter)]
    list_select_related = ["store", "staff_device", "coupon"]
    search_fields = ["staff_device__label", "coupon__benefit"]
    id_search = ("id", "coupon__id")
    ordering = ["-redeemed_at"]
    fields = ["id", "store", "staff_device", "benefit", "amount", "source", "scanned", "redeemed", "is_live"]

    @display(description="benefit", ordering="coupon__benefit")
    def benefit(self, redemption: Redemption) -> str:
        return redemption.coupon.benefit

    @display(description="redeemed", ordering="redeemed_at")
    def redeemed(self, redemption: Redemption) -> str:
        return at_store(redemption.redeemed_at, redemption.store)

    @display(description="scanned (device's clock)", ordering="scanned_at")
    def scanned(self, redemption: Redemption) -> str:
        return at_store(redemption.scanned_at, redemption.store)


@admin.register(Void)
class VoidAdmin(FactAdmin):
    """Redemptions taken back."""

    list_display = ["voided", "store", "reason", "note", "staff_device", "user"]
    list_filter = ["reason"]
    list_select_related = ["redemption__store", "staff_device", "user"]
    search_fields = ["note", "staff_device__label"]
    fields = ["store", "reason", "note", "staff_device", "user", "voided"]

    @display(description="store", ordering="redemption__store__name")
    def store(self, void: Void) -> str:
        return str(void.redemption.store)

    @display(description="taken back", ordering="voided_at")
    def voided(self, void: Void) -> str:
        return at_store(void.voided_at, void.redemption.store)
