"""Prizes and winning moments in admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from promotions import clock
from promotions.admin.base import FactAdmin, MechanicInline, ReadOnly, ScopedRelatedFilter, TenantAdmin
from promotions.mechanics.instant_win.models import PrizeLot, WinningMoment


class PrizeLotInline(MechanicInline):
    """Prizes. Their winning moments are drawn at the opening, so they cannot change after it."""

    model = PrizeLot
    verbose_name = "prize"
    verbose_name_plural = "Prizes of the instant win"


@admin.register(PrizeLot)
class PrizeLotAdmin(ReadOnly, TenantAdmin):
    """All prize lots. They are edited on their campaign's page, by its rules."""

    list_display = ["campaign", "name", "quantity"]
    list_filter = [("campaign", ScopedRelatedFilter)]
    list_select_related = ["campaign"]
    search_fields = ["name", "campaign__name"]
    fields = ["campaign", "name", "quantity"]


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
