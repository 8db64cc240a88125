"""App configuration."""

from django.apps import AppConfig


class NotificationsConfig(AppConfig):
    """TELL."""

    name = "notifications"
