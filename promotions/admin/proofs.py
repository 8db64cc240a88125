"""What proofs of presence leave behind, to be looked at."""

from django.contrib import admin

from promotions.admin.base import FactAdmin
from promotions.models import PointSighting


@admin.register(PointSighting)
class PointSightingAdmin(FactAdmin):
    """Who asked from one and the same point: many rows of one point are one hand. The operator's alone."""

    list_display = ["point_digest", "seen_at", "device_id"]
    list_filter = [("seen_at", admin.DateFieldListFilter)]
    id_search = ("device_id",)
    ordering = ["-seen_at"]
    fields = ["point_digest", "device_id", "seen_at"]
