"""Form widgets: the map of fences and stores, with fields for the same values, and weekly hours."""

import json
from calendar import day_name
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

_MEDIA = forms.Media(
    css={"screen": ["leaflet/leaflet.css", "geofence/map.css"]},
    js=["leaflet/leaflet.js", "geofence/map.js"],
)


class FenceMapWidget(UnfoldAdminTextareaWidget):
    """A map above a textarea with the polygon's GeoJSON. It also sets the three numbers of a circle."""

    template_name = "geofence/widgets/fence_map.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["tile_url"] = settings.MAP_TILE_URL
        return context

    @property
    def media(self) -> forms.Media:
        return super().media + _MEDIA


class StoreMapWidget(UnfoldAdminTextInputWidget):
    """A map above the latitude field. Its marker sets latitude and longitude."""

    template_name = "geofence/widgets/store_map.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        context["tile_url"] = settings.MAP_TILE_URL
        return context

    @property
    def media(self) -> forms.Media:
        return super().media + _MEDIA


class WeekWidget(forms.MultiWidget):
    """Seven lines of opening hours, Monday first, such as `09:00-12:30, 14:00-19:00`."""

    template_name = "geofence/widgets/week.html"
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    day_names: ClassVar[dict[str, str]] = dict(zip(days, day_name, strict=True))

    def __init__(self) -> None:
        lines = {
            day: UnfoldAdminTextInputWidget({"placeholder": "09:00-19:00", "autocomplete": "off", "aria-label": name})
            for day, name in self.day_names.items()
        }
        super().__init__(lines)

    def decompress(self, value: Any) -> list[str]:
        """Convert stored hours to seven lines."""
        if isinstance(value, str):
            value = json.loads(value)
        if not isinstance(value, dict):
            return [""] * 7
        return [", ".join(f"{pair[0]}-{pair[1]}" for pair in value.get(day, [])) for day in self.days]
