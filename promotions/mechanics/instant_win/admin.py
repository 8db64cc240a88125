"""Prizes and winning moments in admin."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from promotions import clock
from promotions.admin.base import FactAdmin, MechanicInline, ScopedRelatedFilter, TenantAdmin, is_draft
from promotions.models import Campaign, PrizeLot, WinningMoment


class PrizeLotInline(MechanicInline):
    """Prizes. Their winning moments are drawn at the opening, so they cannot change after it."""

    model = PrizeLot
    verbose_name = "prize"
    verbose_name_plural = "Prizes of the instant win"


@admin.register(PrizeLot)
class PrizeLotAdmin(TenantAdmin):
    """All prize lots; fixed once their campaign has opened."""

    list_display = ["campaign", "name", "quantity"]
    list_filter = [("campaign", ScopedRelatedFilter)]
    list_select_related = ["campaign"]
    search_fields = ["name", "campaign__name"]
    autocomplete_fields = ["campaign"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or is_draft(obj.campaign)) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or is_draft(obj.campaign)) and super().has_delete_permission(request, obj)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **given: Any) -> Any:
        """Offer only drafts: prizes are fixed at the opening."""
        field = super().formfield_for_foreignkey(db_field, request, **given)
        if field is not None and db_field.name == "campaign":
            field.queryset = field.queryset.filter(state=Campaign.State.DRAFT)  # type: ignore[union-attr]
        return field


@admin.register(WinningMoment)
class WinningMomentAdmin(FactAdmin):
    """Winning moments of the past. Later ones are hidden, also from the operator."""

    list_display = ["opens_at", "campaign", "lot", "number", "taken_at"]
    list_filter = ["campaign", ("taken_at", admin.EmptyFieldListFilter)]
    list_select_related = ["campaign", "lot"]
    search_fields = ["campaign__name", "lot__name"]
    fields = ["campaign", "lot", "number", "opens_at", "taken_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WinningMoment]:
        return super().get_queryset(request).filter(opens_at__lte=clock.now())
