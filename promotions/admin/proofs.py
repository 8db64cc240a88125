"""Records of used store codes, presence tokens and points."""

from django.contrib import admin
from unfold.decorators import display

from geofence.admin import at_store
from promotions.admin.base import FactAdmin
from promotions.models import PointSighting, SpentPresenceToken, StoreCodeUse


@admin.register(StoreCodeUse)
class StoreCodeUseAdmin(FactAdmin):
    """Store codes by device. Many devices with one step share a code. For the operator only."""

    list_display = ["used", "store", "step", "device_id"]
    list_filter = [("store", admin.RelatedOnlyFieldListFilter), ("used_at", admin.DateFieldListFilter)]
    list_select_related = ["store"]
    search_fields = ["store__name"]
    id_search = ("device_id",)
    ordering = ["-used_at"]
    fields = ["device_id", "store", "step", "used"]

    @display(description="used", ordering="used_at")
    def used(self, use: StoreCodeUse) -> str:
        return at_store(use.used_at, use.store)


@admin.register(SpentPresenceToken)
class SpentPresenceTokenAdmin(FactAdmin):
    """Presence tokens that a brand has used; their device is not stored."""

    list_display = ["jti", "brand", "spent_at", "expires_at"]
    list_filter = ["brand", ("spent_at", admin.DateFieldListFilter)]
    list_select_related = ["brand"]
    search_fields = ["brand__name"]
    id_search = ("jti",)
    ordering = ["-spent_at"]
    fields = ["jti", "brand", "spent_at", "expires_at"]


@admin.register(PointSighting)
class PointSightingAdmin(FactAdmin):
    """Requests from exactly the same point. Many devices at one point suggest one person. For the operator only."""

    list_display = ["point_digest", "seen_at", "device_id"]
    list_filter = [("seen_at", admin.DateFieldListFilter)]
    id_search = ("device_id",)
    ordering = ["-seen_at"]
    fields = ["point_digest", "device_id", "seen_at"]
