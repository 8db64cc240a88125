"""Web pages beside admin: the till, and in development the sandbox phone. They talk to us through the API only."""

from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.translation import get_language, gettext

from geofence.models import Geofence, Store
from promotions.http.staff.strings import strings_for_scripts
from promotions.http.strict_page import POLICY, strict_page

TILL_FILES = Path(__file__).resolve().parents[1] / "static" / "staff"
# The QR decoder that the set-up fetches with npm, as the static files find it.
DECODER = {"script": "decoder/index.js", "wasm": "decoder/zxing_reader.wasm"}


@strict_page
def staff_page(request: HttpRequest) -> HttpResponse:
    """`/staff/`: the till."""
    language = get_language() or settings.LANGUAGE_CODE
    other, other_name = next((code, name) for code, name in settings.LANGUAGES if code != language)
    about = {
        "language": language,
        "other_language": other,
        "other_language_name": other_name,
        "strings": strings_for_scripts(),
        "decoder": _decoder_addresses(),
    }
    response = render(request, "staff/index.html", about)
    if about["decoder"]:
        # The decoder is WebAssembly, which is compiled in the page; this permits that and no `eval`.
        response["Content-Security-Policy"] = POLICY.replace(
            "script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'"
        )
    return response


def _decoder_addresses() -> dict[str, str]:
    """Address of the QR decoder; empty where the set-up found no npm. A new set-up needs a new start."""
    if not all(finders.find(path) for path in DECODER.values()):
        return {}
    return {name: static(path) for name, path in DECODER.items()}


@strict_page
def staff_manifest(request: HttpRequest) -> HttpResponse:
    """`/staff/manifest.webmanifest`: what makes the till installable."""
    manifest = {
        "id": "/staff/",
        "name": gettext("Doorstep till"),
        "short_name": gettext("Till"),
        "start_url": "/staff/",
        "scope": "/staff/",
        "display": "standalone",
        "orientation": "portrait",
        "background_color": "#f4f5f2",
        "theme_color": "#14342b",
        "icons": [
            {"src": static("staff/icon.svg"), "sizes": "any", "type": "image/svg+xml"},
            {"src": static("staff/icon-192.png"), "sizes": "192x192", "type": "image/png"},
            {"src": static("staff/icon-512.png"), "sizes": "512x512", "type": "image/png"},
            {
                "src": static("staff/icon-512.png"),
                "sizes": "512x512",
                "type": "image/png",
                "purpose": "maskable",
            },
        ],
    }
    return JsonResponse(manifest, content_type="application/manifest+json")


@strict_page
def staff_worker(request: HttpRequest) -> HttpResponse:
    """`/staff/sw.js`: below `/staff/`, because a service worker rules only the addresses below its own."""
    shell = sorted(file.name for file in TILL_FILES.iterdir() if file.suffix in {".css", ".js", ".svg"})
    files = [static(f"staff/{name}") for name in shell] + list(_decoder_addresses().values())
    return render(request, "staff/sw.js", {"files": files}, content_type="text/javascript")


@strict_page
def sandbox_page(request: HttpRequest) -> HttpResponse:
    """`/`: a phone on a map, to try the API by hand. Development only: it shows every store."""
    if not settings.DEBUG:
        raise Http404
    stores = [
        {
            "id": str(store.uuid),
            "name": store.name,
            "latitude": store.latitude_deg,
            "longitude": store.longitude_deg,
            "fences": [_outline(fence) for fence in store.geofences.all() if fence.is_active],
        }
        for store in Store.objects.filter(is_active=True).prefetch_related("geofences").order_by("id")
    ]
    return render(request, "sandbox/index.html", {"stores": stores})


def _outline(fence: Geofence) -> dict[str, object]:
    ring = [[latitude, longitude] for longitude, latitude, *_ in fence.area.coords[0]] if fence.area else None
    return {
        "role": fence.role,
        "latitude": fence.latitude_deg,
        "longitude": fence.longitude_deg,
        "radius_m": fence.radius_m,
        "ring": ring,
    }
