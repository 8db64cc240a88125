"""Turnstiles and arrivals in admin."""

from django.contrib import admin

from promotions.admin.base import FactAdmin, MechanicInline, ReadOnly, TenantAdmin
from tests.stories.turnstile.models import Arrival, Turnstile


class TurnstileInline(MechanicInline):
    """The turnstiles of the campaign."""

    model = Turnstile


@admin.register(Turnstile)
class TurnstileAdmin(ReadOnly, TenantAdmin):
    """All turnstiles."""

    list_display = ["campaign", "every"]


@admin.register(Arrival)
class ArrivalAdmin(FactAdmin):
    """All arrivals."""

    list_display = ["campaign", "lane", "number", "arrived_at"]
    list_select_related = ["campaign"]
