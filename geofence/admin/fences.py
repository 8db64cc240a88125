"""Pages of fences and their versions. A fence is drawn on a map."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display

from geofence.admin.search import AccentlessSearch
from geofence.forms import GeofenceForm
from geofence.models import FenceSet, Geofence, GeofenceRevision, Store
from geofence.services.fences import change_geofence, create_geofence

# Half the side of the square around a store whose other stores the map shows, about 20 km.
NEIGHBOURHOOD_DEG = 0.2
NEIGHBOURS_MAX = 300


class GeofenceAdmin(AccentlessSearch, ModelAdmin):
    """A fence, edited on a map. It is saved by the service, which numbers and keeps the versions."""

    form = GeofenceForm
    list_display = ["store", "role", "shape", "size", "version", "is_active", "updated_at"]
    list_display_links = ["store"]
    list_filter: ClassVar[list[Any]] = ["role", "shape", "is_active"]
    searched_texts = ("store__name", "store__address")
    list_select_related = ["store", "store__partner"]
    readonly_fields = ["uuid", "version", "updated_at"]
    radio_fields = {"shape": admin.HORIZONTAL, "role": admin.HORIZONTAL}
    compressed_fields = False
    warn_unsaved_form = True
    # A read-only page has no variable `shape`.
    conditional_fields = dict.fromkeys(
        ["latitude_deg", "longitude_deg", "radius_m"], "typeof shape === 'undefined' || shape == 'circle'"
    )
    _ground = [("store", "role", "shape"), "area_geojson", ("latitude_deg", "longitude_deg", "radius_m")]
    add_fieldsets = [(None, {"fields": [*_ground, "dwell_s"]})]
    fieldsets = [
        (None, {"fields": [*_ground, ("dwell_s", "is_active")]}),
        ("Versions", {"fields": [("version", "updated_at"), "uuid"], "classes": ["collapse"]}),
    ]
    # `promotions.admin` replaces it with the clock that tests and demo days move.
    clock: Callable[[], datetime] = staticmethod(timezone.now)

    @display(description="size")
    def size(self, geofence: Geofence) -> str:
        return describe_size(geofence)

    @display(description="Map")
    def area_geojson(self, geofence: Geofence) -> SafeString:
        """Render the map for read-only users; for others, the form field of this name replaces it."""
        return render_to_string(
            "geofence/fence_shown.html",
            {"fence": json.dumps(_outline(geofence)), "fence_id": geofence.pk, "tile_url": settings.MAP_TILE_URL},
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Geofence | None = None) -> list[str]:
        """Fix the store and the role of a fence: presence and visits depend on both."""
        return [*self.readonly_fields, *(["store", "role"] if obj else [])]

    def get_urls(self) -> list[URLPattern]:
        """Add the view that the map calls."""
        view = self.admin_site.admin_view(self.surroundings)
        return [path("surroundings/", view, name="geofence_geofence_surroundings"), *super().get_urls()]

    def visible_stores(self, request: HttpRequest) -> QuerySet[Store]:
        """Return the stores that the map may show; `promotions.admin` limits them to the user's."""
        return Store.objects.all()

    def surroundings(self, request: HttpRequest) -> JsonResponse:
        """Return `{"store", "stores", "fences"}`: those around a store or fence, or the first ones without either.

        The given fence is left out, as the map draws it from the form.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        stores = self.visible_stores(request).filter(is_active=True)
        store_id, fence_id = (_read_id(request.GET.get(name)) for name in ("store", "fence"))
        condition = Q(pk=store_id) if store_id else Q(geofences=fence_id)
        centre = stores.filter(condition).first() if store_id or fence_id else None
        if centre is not None:
            stores = stores.filter(
                latitude_deg__range=_around(centre.latitude_deg), longitude_deg__range=_around(centre.longitude_deg)
            )
        shown = list(stores.order_by("name")[:NEIGHBOURS_MAX])
        fences = Geofence.objects.filter(store_id__in=[store.pk for store in shown], is_active=True)
        if fence_id:
            fences = fences.exclude(pk=fence_id)
        return JsonResponse(
            {
                "store": _place(centre) if centre else None,
                "stores": [_place(store) for store in shown],
                "fences": [_outline(fence) for fence in fences],
            }
        )

    def save_model(self, request: HttpRequest, obj: Geofence, form: ModelForm[Geofence], change: bool) -> None:
        """Save through the service; show warnings for shapes that phones handle badly."""
        assert isinstance(form, GeofenceForm)
        saved = _save(obj, form, change=change, now=self.clock())
        obj.pk = saved.pk
        obj.refresh_from_db()
        for warning in form.warnings:
            messages.warning(request, warning)


class GeofenceRevisionAdmin(ModelAdmin):
    """Versions of fences."""

    list_display = ["geofence_store", "version", "shape", "radius_m", "changed_at"]
    list_select_related = ["geofence__store"]
    search_fields = ["geofence__store__name"]
    list_filter = ["shape"]
    fields = ["geofence_store", "version", "shape", "latitude_deg", "longitude_deg", "radius_m", "changed_at"]

    @display(description="fence", ordering="geofence__store__name")
    def geofence_store(self, revision: GeofenceRevision) -> str:
        return f"{revision.geofence.store}: {revision.geofence}"


class FenceSetAdmin(ModelAdmin):
    """The version that workers compare to detect edited fences."""

    model: type[FenceSet]
    list_display = ["__str__", "version"]


def _save(fence: Geofence, form: GeofenceForm, *, change: bool, now: datetime) -> Geofence:
    given = form.cleaned_data
    shape = form.read_shape()
    if change:
        return change_geofence(
            geofence_id=fence.pk, shape=shape, dwell_s=given["dwell_s"], is_active=given["is_active"], now=now
        )
    return create_geofence(
        store_id=given["store"].pk, role=given["role"], shape=shape, dwell_s=given["dwell_s"], now=now
    )


def describe_size(fence: Geofence) -> str:
    if fence.shape == Geofence.Shape.CIRCLE:
        return f"{fence.radius_m:.0f} m"
    return f"{fence.area.num_coords - 1} corners" if fence.area else "–"


def _read_id(text: str | None) -> int | None:
    # Ten digits hold every 32-bit id and fit PostgreSQL's bigint.
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None


def _around(degrees: float) -> tuple[float, float]:
    return degrees - NEIGHBOURHOOD_DEG, degrees + NEIGHBOURHOOD_DEG


def _place(store: Store) -> dict[str, Any]:
    return {
        "id": store.pk,
        "name": store.name,
        "latitude_deg": store.latitude_deg,
        "longitude_deg": store.longitude_deg,
    }


def _outline(fence: Geofence) -> dict[str, Any]:
    area = {"type": "Polygon", "coordinates": fence.area.coords} if fence.area else None
    return {
        "latitude_deg": fence.latitude_deg,
        "longitude_deg": fence.longitude_deg,
        "radius_m": fence.radius_m,
        "area": area,
    }
