"""From which network address a request came, as far as it can be believed."""

from django.conf import settings
from django.http import HttpRequest


def read_address(request: HttpRequest) -> str:
    """The peer's address, or what the outermost of exactly `TRUSTED_PROXIES` proxies saw.

    Each proxy adds the peer it saw on the right; what stands further left the client may have made up.
    """
    peer: str = request.META.get("REMOTE_ADDR") or ""
    seen = [entry.strip() for entry in request.headers.get("X-Forwarded-For", "").split(",") if entry.strip()]
    believed = seen[-settings.TRUSTED_PROXIES :] if settings.TRUSTED_PROXIES > 0 else []
    return believed[0] if believed else peer
