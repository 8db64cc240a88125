"""Admin pages of stores, fences, visits and presence, without permissions.

`promotions.admin` adds tenancy to these classes and registers them.
"""

import json
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Concat
from django.forms import ModelForm
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from geofence.forms import GeofenceForm, StoreForm
from geofence.models import FenceSet, Geofence, GeofenceRevision, LastFix, Partner, Presence, Store, Visit
from geofence.services.fences import change_geofence, create_geofence
from geofence.widgets import WeekWidget

# Half the side of the square around a store whose other stores the map shows, about 20 km.
NEIGHBOURHOOD_DEG = 0.2
NEIGHBOURS_MAX = 300


def at_store(instant: datetime | None, store: Store | None) -> str:
    """Format an instant in the store's time zone, in UTC without a store."""
    if instant is None:
        return "–"
    return store.format_time(instant) if store else f"{instant:%Y-%m-%d %H:%M:%S} UTC"


class Unaccented(Func):
    """Removes accents in PostgreSQL, without an extension, in the same way as `_unaccent`."""

    template = r"regexp_replace(normalize(%(expressions)s, NFKD), '[\u0300-\u036f]', '', 'g')"
    output_field = TextField()


class AccentlessSearch:
    """A page whose search ignores accents and covers all `searched_texts` together."""

    searched_texts: ClassVar[tuple[str, ...]]
    search_fields: ClassVar[list[str]] = ["searched"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find rows that contain every word in any of the texts."""
        first, *others = self.searched_texts
        texts = [first, *(part for name in others for part in (Value(" "), name))]
        rows = queryset.alias(searched=Unaccented(Concat(*texts)))
        found: tuple[QuerySet[Any], bool] = super().get_search_results(  # type: ignore[misc]
            request, rows, _unaccent(search_term)
        )
        return found


class PartnerAdmin(ModelAdmin):
    # Repeated here because a grouped query ignores the model's ordering.
    ordering = ["name"]
    list_display = ["name", "stores_count"]
    search_fields = ["name"]
    readonly_fields = ["uuid"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Partner]:
        return super().get_queryset(request).annotate(stores_count=Count("stores"))

    @display(description="stores", ordering="stores_count")
    def stores_count(self, partner: Any) -> int:
        return int(partner.stores_count)


class GeofenceInline(TabularInline):
    """The fences of a store, read-only, with links to the map on which they are edited."""

    model = Geofence
    extra = 0
    fields = readonly_fields = ["fence", "shape", "size", "version", "is_active"]
    verbose_name_plural = "fences"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="fence")
    def fence(self, geofence: Geofence) -> SafeString:
        url = reverse("admin:geofence_geofence_change", args=[geofence.pk])
        return format_html('<a class="text-link" href="{}">{}</a>', url, geofence.get_role_display())

    @display(description="size")
    def size(self, geofence: Geofence) -> str:
        return _size(geofence)


class StoreAdmin(AccentlessSearch, ModelAdmin):
    """A store: its position, hours and fences."""

    form = StoreForm
    # Repeated here because a grouped query ignores the model's ordering.
    ordering = ["name"]
    list_display = ["name", "partner", "address", "timezone", "fences_count", "is_active"]
    list_filter: ClassVar[list[Any]] = ["is_active", "timezone"]
    searched_texts = ("name", "address", "partner__name")
    list_select_related = ["partner"]
    readonly_fields = ["uuid", "draw_link", "hours_shown"]
    inlines = [GeofenceInline]
    warn_unsaved_form = True
    fieldsets = [
        (None, {"fields": ["partner", "name", "address", "is_active"]}),
        ("Where", {"fields": ["latitude_deg", "longitude_deg", "draw_link"]}),
        ("When", {"fields": ["timezone", "opening_hours"]}),
        ("For developers", {"fields": ["uuid"], "classes": ["collapse"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Store]:
        active = Count("geofences", filter=Q(geofences__is_active=True))
        return super().get_queryset(request).annotate(fences_count=active)

    @display(description="fences", ordering="fences_count")
    def fences_count(self, store: Any) -> int:
        return int(store.fences_count)

    @display(description="fences")
    def draw_link(self, store: Store) -> SafeString | str:
        if store.pk is None:
            return "Save the store first. Then you can draw its fence on the map."
        url = f"{reverse('admin:geofence_geofence_add')}?{urlencode({'store': store.pk})}"
        return format_html('<a class="text-link" href="{}">Draw a fence on the map</a>', url)

    @display(description="opening hours")
    def hours_shown(self, store: Store) -> SafeString | str:
        """Format the hours for read-only users, one line per day."""
        if not store.opening_hours:
            return "always open"
        lines = zip(WeekWidget.day_names.values(), WeekWidget().decompress(store.opening_hours), strict=True)
        return format_html_join(
            SafeString("<br>"), "{} {}", ((name[:3], line.replace("-", "–") or "closed") for name, line in lines)
        )

    def may_draw(self, request: HttpRequest, store: Store | None) -> bool:
        """Require the permission to add fences; `promotions.admin` also checks the store's owner."""
        return request.user.has_perm("geofence.add_geofence")

    def get_fieldsets(self, request: HttpRequest, obj: Store | None = None) -> Any:
        """Hide the link to the map without its permission, and show the hours as text to read-only users."""
        may_change = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        hidden = set() if self.may_draw(request, obj) else {"draw_link"}
        shown = {} if may_change else {"opening_hours": "hours_shown"}
        return [
            (title, {**given, "fields": [shown.get(name, name) for name in given["fields"] if name not in hidden]})
            for title, given in super().get_fieldsets(request, obj)
        ]

    def save_model(self, request: HttpRequest, obj: Store, form: ModelForm[Store], change: bool) -> None:
        """Point out the missing fence: phones cannot enter a store without one."""
        super().save_model(request, obj, form, change)
        if not change and self.may_draw(request, obj):
            messages.info(request, format_html("{} has no fence yet. {}", obj.name, self.draw_link(obj)))


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
        return _size(geofence)

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


class VisitAdmin(ModelAdmin):
    """One stay of a device at a store."""

    list_display = ["entered", "store", "device_id", "confirmed_by", "exited", "exit_reason"]
    list_filter = ["confirmed_by", "exit_reason", ("entered_at", admin.DateFieldListFilter)]
    search_fields = ["store__name"]
    list_select_related = ["store", "geofence"]
    ordering = ["-entered_at"]
    fields = [
        "id",
        "device_id",
        "store",
        "geofence",
        "geofence_version",
        "entered",
        "last_inside",
        "confirmed",
        "confirmed_by",
        "exited",
        "exit_reason",
    ]

    @display(description="entered", ordering="entered_at")
    def entered(self, visit: Visit) -> str:
        return at_store(visit.entered_at, visit.store)

    @display(description="last inside", ordering="last_inside_at")
    def last_inside(self, visit: Visit) -> str:
        return at_store(visit.last_inside_at, visit.store)

    @display(description="confirmed", ordering="confirmed_at")
    def confirmed(self, visit: Visit) -> str:
        return at_store(visit.confirmed_at, visit.store)

    @display(description="exited", ordering="exited_at")
    def exited(self, visit: Visit) -> str:
        return at_store(visit.exited_at, visit.store)


class PresenceAdmin(ModelAdmin):
    """The state of a device at a fence, without coordinates."""

    list_display = ["device_id", "store", "state", "inside_since", "last_fix"]
    list_filter = ["state"]
    search_fields = ["geofence__store__name"]
    list_select_related = ["geofence__store"]
    ordering = ["-last_fix_at"]
    fields = ["device_id", "store", "state", "inside_since", "last_fix", "barred", "inside_fixes", "best_accuracy_m"]

    @display(description="store", ordering="geofence__store__name")
    def store(self, presence: Presence) -> str:
        return str(presence.geofence.store)

    @display(description="inside since", ordering="inside_since_at")
    def inside_since(self, presence: Presence) -> str:
        return at_store(presence.inside_since_at, presence.geofence.store)

    @display(description="last fix", ordering="last_fix_at")
    def last_fix(self, presence: Presence) -> str:
        return at_store(presence.last_fix_at, presence.geofence.store)


class LastFixAdmin(ModelAdmin):
    """The last fix of a device and its hold after a jump. The cell is not shown: it is a person's position."""

    model: type[LastFix]
    list_display = ["device_id", "fix_time", "received_at", "repeats", "jump_hold_until"]
    list_filter = [("jump_hold_until", admin.EmptyFieldListFilter)]
    ordering = ["-received_at"]
    fields = ["device_id", "fix_time", "received_at", "repeats", "jump_hold_until"]


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


def _size(fence: Geofence) -> str:
    if fence.shape == Geofence.Shape.CIRCLE:
        return f"{fence.radius_m:.0f} m"
    return f"{fence.area.num_coords - 1} corners" if fence.area else "–"


def _read_id(text: str | None) -> int | None:
    # Ten digits hold every 32-bit id and fit PostgreSQL's bigint.
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None


def _unaccent(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not "\u0300" <= sign <= "\u036f")


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
