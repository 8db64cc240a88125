"""The product's worker with one more channel. Loaded with `-A` by a test."""

from notifications.transports import REGISTRY
from tests.faults.provider_transport import ProviderTransport

# The one line that a new channel needs; the settings read it, so it comes before them.
REGISTRY["provider"] = ProviderTransport

from promotions.celery import app  # noqa: E402

__all__ = ["app"]
