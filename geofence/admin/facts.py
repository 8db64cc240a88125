"""Pages of visits, presence and last fixes, and the format of their times."""

from datetime import datetime

from django.contrib import admin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from geofence.models import LastFix, Presence, Store, Visit


def at_store(instant: datetime | None, store: Store | None) -> str:
    """Format an instant in the store's time zone, in UTC without a store."""
    if instant is None:
        return "–"
    return store.format_time(instant) if store else f"{instant:%Y-%m-%d %H:%M:%S} UTC"


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
    """The last fix of a device and its penalty after a jump. The cell is not shown: it is a person's position."""

    model: type[LastFix]
    list_display = ["device_id", "fix_time", "received_at", "repeats", "jump_hold_until"]
    list_filter = [("jump_hold_until", admin.EmptyFieldListFilter)]
    ordering = ["-received_at"]
    fields = ["device_id", "fix_time", "received_at", "repeats", "jump_hold_until"]
