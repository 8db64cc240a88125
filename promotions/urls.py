"""Every address Django answers. The fix lane takes `POST /v1/fixes` and `/v1/ingest/*` before they come here."""

from django.contrib import admin
from django.urls import include, path, re_path, register_converter
from django.views.generic import RedirectView

from promotions.admin.search import autocomplete, search
from promotions.http import docs, health, pages, problems
from promotions.http.brand.presence_tokens import KeySetView
from promotions.http.ids import IdConverter
from promotions.http.staff import kiosk

handler400 = "promotions.http.problems.bad_request"
handler404 = "promotions.http.problems.not_found"
handler500 = "promotions.http.problems.server_error"

register_converter(IdConverter, "id")

urlpatterns = [
    path("admin/search/", search),
    # Before admin's own pages of the same addresses, so that `admin:login` leads to ours.
    path("admin/", include("promotions.http.sign_in.urls")),
    path("admin/autocomplete/", autocomplete),
    # Django's way to the address of any row, which shows whether the row exists. No row of ours has an address.
    re_path(r"^admin/r/", problems.no_such_call),
    path("admin/", admin.site.urls),
    path("healthz", health.HealthView.as_view(), name="healthz"),
    path("readyz", health.ReadyView.as_view(), name="readyz"),
    path("metrics", health.metrics_page, name="metrics"),
    path(".well-known/jwks.json", KeySetView.as_view(), name="jwks"),
    path("problems", docs.problems_page, name="problems"),
    path("v1/openapi.yaml", docs.openapi_yaml, name="openapi"),
    path("v1/docs/", docs.SwaggerView.as_view(), name="swagger"),
    path("v1/", include("promotions.http.device.urls")),
    path("v1/staff/", include("promotions.http.staff.urls")),
    path("v1/", include("promotions.http.brand.urls")),
    re_path(r"^v1/", problems.no_such_call),
    path("", pages.sandbox_page, name="sandbox-page"),
    path("staff", RedirectView.as_view(pattern_name="staff-page")),
    path("staff/", pages.staff_page, name="staff-page"),
    path("staff/manifest.webmanifest", pages.staff_manifest, name="staff-manifest"),
    path("staff/sw.js", pages.staff_worker, name="staff-worker"),
    path("kiosk", RedirectView.as_view(pattern_name="kiosk-page")),
    path("kiosk/", kiosk.kiosk_page, name="kiosk-page"),
    path("kiosk/manifest.webmanifest", kiosk.kiosk_manifest, name="kiosk-manifest"),
    path("kiosk/sw.js", kiosk.kiosk_worker, name="kiosk-worker"),
]
