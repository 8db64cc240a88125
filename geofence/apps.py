"""App configuration."""

from django.apps import AppConfig


class GeofenceConfig(AppConfig):
    """WHERE."""

    name = "geofence"
