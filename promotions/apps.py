"""App configuration: ties Celery to Django and registers the start-up checks."""

from django.apps import AppConfig


class PromotionsConfig(AppConfig):
    """THE PRODUCT."""

    name = "promotions"

    def ready(self) -> None:
        """Load the Celery app, so that shared tasks find their broker, and the checks."""
        from promotions import celery, checks  # noqa: F401
