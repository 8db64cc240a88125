"""Colours and files of the admin. Settings name these functions by their dotted paths."""

from django.http import HttpRequest
from django.templatetags.static import static


def find_favicon(request: HttpRequest) -> str:
    return static("promotions/admin/favicon.svg")


def find_stylesheet(request: HttpRequest) -> str:
    return static("promotions/admin/admin.css")


def list_primary_shades(request: HttpRequest) -> dict[str, str]:
    """Return the shades of the primary colour: a teal that keeps a contrast of 4.5:1 on white from 600 on."""
    return {
        "50": "oklch(98.4% .014 180.72)",
        "100": "oklch(95.3% .051 180.801)",
        "200": "oklch(91% .096 180.426)",
        "300": "oklch(85.5% .138 181.071)",
        "400": "oklch(77.7% .152 181.912)",
        "500": "oklch(60% .118 184.704)",
        "600": "oklch(51.1% .096 186.391)",
        "700": "oklch(43.7% .078 188.216)",
        "800": "oklch(38.6% .063 188.416)",
        "900": "oklch(33% .055 190)",
        "950": "oklch(27.7% .046 192.524)",
    }
