"""The headers of our own web pages: no foreign code, no framing, the camera only."""

from collections.abc import Callable
from functools import wraps

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

Page = Callable[[HttpRequest], HttpResponse]


# Our own scripts and styles from our own files, nothing inline, nothing from elsewhere.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)


def strict_page(page: Page) -> Page:
    """GET and HEAD only, with the headers that keep foreign code out and the camera in."""

    @wraps(page)
    def answer(request: HttpRequest) -> HttpResponse:
        response = page(request)
        response.setdefault("Content-Security-Policy", POLICY)
        response["Permissions-Policy"] = "camera=(self), geolocation=(), microphone=()"
        # The pages change with a release; scripts and styles are named below them.
        response["Cache-Control"] = "no-cache"
        return response

    return require_safe(answer)
