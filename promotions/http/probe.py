"""Shows `manage.py doctor --url` how its own requests arrive through the proxies. Any other client gets nothing."""

from collections.abc import Callable

from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest, HttpResponse, JsonResponse

from promotions.http.address import read_address

HEADER = "X-Doorstep-Probe"
_SALT = "promotions.doctor"
_LIFE_S = 60


def sign_probe(nonce: str) -> str:
    """Return the value of the header: only a process with SECRET_KEY can make it, and it is valid for a minute."""
    return TimestampSigner(salt=_SALT).sign(nonce)


class ProbeMiddleware:
    """Answers a signed probe, at any address, before redirects and host checks can change the picture."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = request.headers.get(HEADER)
        if probe and _is_ours(probe):
            return JsonResponse(
                {
                    "host": request.META.get("HTTP_HOST", ""),
                    "is_secure": request.is_secure(),
                    "address": read_address(request),
                    "forwarded_for": [
                        entry.strip()
                        for entry in request.headers.get("X-Forwarded-For", "").split(",")
                        if entry.strip()
                    ],
                }
            )
        return self.get_response(request)


def _is_ours(probe: str) -> bool:
    try:
        TimestampSigner(salt=_SALT).unsign(probe, max_age=_LIFE_S)
    except BadSignature:
        return False
    return True
