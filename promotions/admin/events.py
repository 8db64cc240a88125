"""The event log and the timeline of a device, for the operator alone."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from geofence.admin import at_store
from promotions.admin.base import FactAdmin
from promotions.logic.events import EventKind
from promotions.models import Event


class KindFilter(admin.SimpleListFilter):
    """One kind of event."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, str]]:
        """Every kind, by its value."""
        return [(kind.value, kind.value) for kind in EventKind]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        """Return the events of the chosen kind."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(FactAdmin):
    """Events in the order in which they were recorded. Search by a device's id for its timeline."""

    list_display = ["occurred", "kind", "device_id", "campaign", "store", "details"]
    list_filter = [KindFilter]
    list_select_related = ["campaign", "store"]
    id_search = ("device_id", "id")
    ordering = ["-position"]
    fields = ["id", "position", "kind", "occurred", "device_id", "campaign", "store", "details"]

    @display(description="occurred")
    def occurred(self, event: Event) -> str:
        return at_store(event.occurred_at, event.store)

    @display(description="details")
    def details(self, event: Event) -> str:
        return describe_payload(event)


def describe_payload(event: Event) -> str:
    """Show the payload as one line, in the order of the names."""
    return ", ".join(f"{name}: {value}" for name, value in sorted(event.payload.items()))
