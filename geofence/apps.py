"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GeofenceConfig(AppConfig):
    """Stores, fences, fixes and visits."""

    name = "geofence"
    verbose_name = _("Places and presence")
