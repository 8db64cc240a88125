"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    """Addresses, messages and transports."""

    name = "notifications"
    verbose_name = _("Messaging")
