"""The Celery application: wake-ups and a schedule. No task message is ever the only copy of anything."""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "promotions.settings")

app = Celery("doorstep")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["promotions", "notifications", "geofence"])


@setup_logging.connect
def use_django_logging(**_kwargs: Any) -> None:
    """Keep Celery from installing its own handlers beside ours."""
