"""Pages of partners and stores."""

from typing import Any, ClassVar

from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

from geofence.admin.fences import describe_size
from geofence.admin.search import AccentlessSearch
from geofence.forms import StoreForm
from geofence.models import Geofence, Partner, Store
from geofence.widgets import WeekWidget


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
        return describe_size(geofence)


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
