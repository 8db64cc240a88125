"""Forms of stores and fences. The faults of a fence come from `logic.geometry`; each is shown at its field."""

import json
import re
from typing import Any
from zoneinfo import available_timezones

from django import forms
from unfold.widgets import UnfoldAdminSelect2Widget

from geofence.logic.geodesy import Point
from geofence.logic.geometry import Fault, list_circle_faults, read_polygon
from geofence.models import Geofence, Store
from geofence.services.fences import CircleShape, PolygonShape
from geofence.widgets import FenceMapWidget, StoreMapWidget, WeekWidget

_PAIR = re.compile(r"\s*(\d{1,2}:\d{2})\s*[-–]\s*(\d{1,2}:\d{2})\s*")


def _zones() -> list[tuple[str, str]]:
    regional = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    return [("", ""), *((name, name.replace("_", " ")) for name in ("UTC", *regional))]


class WeekField(forms.MultiValueField):
    """Opening hours as seven lines of text. If all are empty, the store is always open."""

    widget = WeekWidget

    def __init__(self, **given: Any) -> None:
        lines = [forms.CharField(required=False, max_length=120) for _ in WeekWidget.days]
        super().__init__(fields=lines, require_all_fields=False, **given)

    def compress(self, data_list: list[str]) -> dict[str, list[list[str]]]:
        """Convert the lines to the stored form, or report one fault per day."""
        hours: dict[str, list[list[str]]] = {}
        faults: dict[str, str] = {}
        for day, line in zip(WeekWidget.days, data_list, strict=False):
            for part in filter(str.strip, (line or "").split(",")):
                pair = _PAIR.fullmatch(part)
                if pair is None:
                    faults.setdefault(day, f"“{part.strip()}” does not have the form 09:00-19:00")
                else:
                    hours.setdefault(day, []).append([time.zfill(5) for time in pair.groups()])
        faults = {**self.find_faults(hours), **faults}
        if faults:
            raise forms.ValidationError(
                [f"{name}: {faults[day]}." for day, name in WeekWidget.day_names.items() if day in faults]
            )
        return hours

    def find_faults(self, hours: dict[str, list[list[str]]]) -> dict[str, str]:
        """Return the faults by day; `promotions.admin` adds its rules here."""
        return {}


class StoreForm(forms.ModelForm[Store]):
    """A store, placed on the map or by its coordinates."""

    opening_hours = WeekField(
        required=False,
        help_text="24-hour times; separate several spans by a comma. An empty day is closed. "
        "If all days are empty, the store is always open.",
    )
    timezone = forms.ChoiceField(label="Time zone", choices=_zones, widget=UnfoldAdminSelect2Widget)

    class Meta:
        model = Store
        fields = [
            "partner",
            "name",
            "address",
            "timezone",
            "latitude_deg",
            "longitude_deg",
            "opening_hours",
            "is_active",
        ]
        widgets = {"latitude_deg": StoreMapWidget}
        labels = {"is_active": "In use"}

    def clean(self) -> dict[str, Any]:
        """Check the position by the rules for the centre of a fence."""
        cleaned = super().clean() or {}
        latitude_deg, longitude_deg = cleaned.get("latitude_deg"), cleaned.get("longitude_deg")
        if latitude_deg is not None and longitude_deg is not None:
            # The radius is any allowed one: only the position is checked here.
            _show(self, list_circle_faults(latitude_deg, longitude_deg, 150.0))
        return cleaned


class GeofenceForm(forms.ModelForm[Geofence]):
    """A circle of three numbers or a polygon in GeoJSON, both edited on one map."""

    area_geojson = forms.CharField(
        label="Map",
        required=False,
        # `read_polygon` checks the length of the text as it was sent.
        strip=False,
        widget=FenceMapWidget({"rows": 3, "spellcheck": "false"}),
    )

    class Meta:
        model = Geofence
        fields = ["store", "role", "shape", "latitude_deg", "longitude_deg", "radius_m", "dwell_s", "is_active"]
        labels = {"radius_m": "Radius (m)", "dwell_s": "Dwell (s)", "is_active": "In use"}

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        # Only a circle requires these numbers (`clean` checks it); a polygon's centre is computed.
        for name in ("latitude_deg", "longitude_deg", "radius_m"):
            if name in self.fields:
                self.fields[name].required = False
        area = self.instance.area
        if area is not None and "area_geojson" in self.fields:
            self.fields["area_geojson"].initial = json.dumps(json.loads(area.json))
        self.warnings: list[str] = []

    def clean(self) -> dict[str, Any]:
        """Check the chosen shape; show each fault at its field."""
        cleaned = super().clean() or {}
        store = cleaned.get("store") or (self.instance.store if self.instance.store_id else None)
        store_at = Point(store.latitude_deg, store.longitude_deg) if store else None
        if cleaned.get("shape") == Geofence.Shape.POLYGON:
            self._clean_polygon(cleaned, store_at)
        elif cleaned.get("shape") == Geofence.Shape.CIRCLE:
            self._clean_circle(cleaned, store_at)
        return cleaned

    def _clean_circle(self, cleaned: dict[str, Any], store_at: Point | None) -> None:
        numbers = {name: cleaned.get(name) for name in ("latitude_deg", "longitude_deg", "radius_m")}
        missing = [name for name, value in numbers.items() if value is None]
        for name in missing:
            if name not in self.errors:
                self.add_error(name, "A circle requires this number.")
        if not missing:
            _show(self, list_circle_faults(*numbers.values(), store_at=store_at))

    def _clean_polygon(self, cleaned: dict[str, Any], store_at: Point | None) -> None:
        text = (cleaned.get("area_geojson") or "").strip()
        if not text:
            self.add_error("area_geojson", "A polygon requires corners. Draw them on the map or paste GeoJSON.")
            return
        _show(self, read_polygon(text, store_at=store_at).faults)

    def read_shape(self) -> CircleShape | PolygonShape:
        """Return the chosen shape as the service expects it. Requires a valid form."""
        given = self.cleaned_data
        if given["shape"] == Geofence.Shape.POLYGON:
            return PolygonShape(given["area_geojson"])
        return CircleShape(given["latitude_deg"], given["longitude_deg"], given["radius_m"])

    def _get_validation_exclusions(self) -> set[str]:
        # `clean` checks the shape; a posted radius does not invalidate a polygon.
        left_out: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return left_out | {"shape", "latitude_deg", "longitude_deg", "radius_m", "area"}


def _show(form: Any, faults: tuple[Fault, ...]) -> None:
    """Add each fault to the field that its pointer names; all faults of a polygon belong to its one field."""
    for fault in faults:
        name = fault.pointer.removeprefix("/")
        field = name if name in form.fields else "area_geojson"
        where = f" ({fault.pointer})" if field == "area_geojson" and fault.pointer.count("/") > 1 else ""
        if fault.is_warning:
            form.warnings.append(fault.detail)
        else:
            form.add_error(field, forms.ValidationError(f"{fault.detail}{where}", code=str(fault.code)))
