"""Every address Django answers. The fix lane takes `POST /v1/fixes` and `/v1/ingest/*` before they come here."""

from django.contrib import admin
from django.urls import include, path

handler404 = "promotions.http.problems.not_found"
handler500 = "promotions.http.problems.server_error"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("v1/", include("promotions.http.device.urls")),
    path("v1/staff/", include("promotions.http.staff.urls")),
]
