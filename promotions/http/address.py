"""Network address of a request, as far as it can be trusted."""

from django.conf import settings
from django.http import HttpRequest

from promotions.logic.networks import network_of


def read_network(request: HttpRequest) -> str:
    """Return the network of a request, as budgets count it. Not stored."""
    return network_of(read_address(request))


def read_address(request: HttpRequest) -> str:
    """The peer's address, or the one reported by the outermost of exactly `TRUSTED_PROXIES` proxies.

    Each proxy adds the address of its peer on the right; the client may have invented everything further left.
    """
    peer: str = request.META.get("REMOTE_ADDR") or ""
    seen = [entry.strip() for entry in request.headers.get("X-Forwarded-For", "").split(",") if entry.strip()]
    believed = seen[-settings.TRUSTED_PROXIES :] if settings.TRUSTED_PROXIES > 0 else []
    return believed[0] if believed else peer
