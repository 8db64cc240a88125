"""Partners, stores, fences, visits and presence: `geofence.admin` with tenancy."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from unfold.decorators import action

from geofence import admin as places
from geofence.forms import StoreForm, WeekField
from geofence.models import FenceSet, Geofence, GeofenceRevision, LastFix, Partner, Presence, Store, Visit
from promotions import clock
from promotions.admin.base import FactAdmin, ReadOnly, Scoped, ScopedRelatedFilter, tenancy_of
from promotions.logic.hours import find_hours_faults
from promotions.services.accounts.tenancy import filter_editable, filter_visible, is_editable


class HoursField(WeekField):
    """Opening hours, checked by the rules of `promotions.logic.hours`."""

    def find_faults(self, hours: dict[str, list[list[str]]]) -> dict[str, str]:
        """Return the first fault of each day."""
        faults: dict[str, str] = {}
        for fault in find_hours_faults(hours):
            faults.setdefault(fault.pointer.split("/")[1], fault.detail)
        return faults


class HoursCheckedStoreForm(StoreForm):
    opening_hours = HoursField(required=False, help_text=StoreForm.base_fields["opening_hours"].help_text)


@admin.register(Partner)
class PartnerAdmin(Scoped, places.PartnerAdmin):
    """Partners, with tenancy."""


@admin.register(Store)
class StoreAdmin(Scoped, places.StoreAdmin):
    """Stores, with an action that enrols a staff device."""

    form = HoursCheckedStoreForm
    list_filter = ["is_active", ("partner", ScopedRelatedFilter), "timezone"]
    actions_detail = ["enrol_staff_device"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Store], search_term: str
    ) -> tuple[QuerySet[Store], bool]:
        """Offer only stores in use in autocompletes."""
        if request.path.endswith("/autocomplete/"):
            queryset = queryset.filter(is_active=True)
        return super().get_search_results(request, queryset, search_term)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Suggest the user's partner if there is only one, and the time zone of the newest store."""
        own = filter_editable(rows=Partner.objects.all(), tenancy=tenancy_of(request))[:2]
        latest = self.get_queryset(request).order_by("-pk").first()
        return {
            **({"partner": own[0].pk} if len(own) == 1 else {}),
            **({"timezone": latest.timezone} if latest else {}),
            **super().get_changeform_initial_data(request),
        }

    def may_draw(self, request: HttpRequest, store: Store | None) -> bool:
        """Require the permission to add fences and ownership of the store."""
        return super().may_draw(request, store) and self._owns(request, store)

    def has_enrol_permission(self, request: HttpRequest, object_id: str) -> bool:
        """Require the permission to enrol and ownership of the store."""
        store = self.get_object(request, object_id)
        if store is None or not is_editable(row=store, tenancy=tenancy_of(request)):
            return False
        return request.user.has_perm("promotions.add_staffenrolment")

    # unfold looks a dotted permission up in the database, before its tables exist; this one is a method.
    @action(description="Enrol a staff device", icon="qr_code_2", permissions=["enrol"])
    def enrol_staff_device(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Open the enrolment page with this store selected."""
        return redirect(f"{reverse('admin:promotions_staffenrolment_add')}?{urlencode({'store': object_id})}")


@admin.register(Geofence)
class GeofenceAdmin(Scoped, places.GeofenceAdmin):
    clock = staticmethod(clock.now)
    autocomplete_fields = ["store"]
    list_filter = ["role", "shape", "is_active", ("store__partner", ScopedRelatedFilter)]

    def visible_stores(self, request: HttpRequest) -> QuerySet[Store]:
        return filter_visible(rows=Store.objects.all(), tenancy=tenancy_of(request))


@admin.register(GeofenceRevision)
class GeofenceRevisionAdmin(ReadOnly, Scoped, places.GeofenceRevisionAdmin):
    """Versions of fences, read-only."""


@admin.register(FenceSet)
class FenceSetAdmin(ReadOnly, Scoped, places.FenceSetAdmin):
    """The version of the fence set, read-only."""


@admin.register(Visit)
class VisitAdmin(places.VisitAdmin, FactAdmin):
    """Visits, for the operator only."""

    id_search = ("id", "device_id")


@admin.register(Presence)
class PresenceAdmin(places.PresenceAdmin, FactAdmin):
    """Presence, for the operator only."""

    id_search = ("device_id",)


@admin.register(LastFix)
class LastFixAdmin(places.LastFixAdmin, FactAdmin):
    """Last fixes, for the operator only."""

    id_search = ("device_id",)
