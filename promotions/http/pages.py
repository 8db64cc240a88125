"""Web pages beside admin: the till, and in development the sandbox phone. They talk to us through the API only."""

from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from geofence.models import Geofence, Store
from promotions.http.staff.strings import strings_for

Page = Callable[[HttpRequest], HttpResponse]

# Our own scripts and styles from our own files, nothing inline, nothing from elsewhere.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)


def strict_page(page: Page) -> Page:
    """GET and HEAD only, with the headers that keep foreign code out and the camera in."""

    @wraps(page)
    def answer(request: HttpRequest) -> HttpResponse:
        response = page(request)
        response["Content-Security-Policy"] = POLICY
        response["Permissions-Policy"] = "camera=(self), geolocation=(), microphone=()"
        # The pages change with a release; scripts and styles are named below them.
        response["Cache-Control"] = "no-cache"
        return response

    return require_safe(answer)


@strict_page
def staff_page(request: HttpRequest) -> HttpResponse:
    """`/staff/`: the till."""
    language = get_language()
    return render(request, "staff/index.html", {"t": strings_for(language), "language": language})


@strict_page
def staff_manifest(request: HttpRequest) -> HttpResponse:
    """`/staff/manifest.webmanifest`: what makes the till installable."""
    t = strings_for(get_language())
    manifest = {
        "id": "/staff/",
        "name": t["app_name"],
        "short_name": t["app_short_name"],
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
    return render(request, "staff/sw.js", content_type="text/javascript")


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
