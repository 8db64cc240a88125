"""The product's middleware: an id per request, and 503 while the database or the clock cannot serve it."""

import re
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from promotions import clocks
from promotions.errors import DomainError
from promotions.http.problems import answer_outage, render, render_unavailable
from promotions.telemetry import traces

_SANE = re.compile(r"[A-Za-z0-9._-]{8,36}")


def choose_request_id(given: str | None) -> str:
    """The caller's id when it is short and plain, else a new one."""
    return given if given and _SANE.fullmatch(given) else uuid.uuid4().hex


class RequestIdMiddleware:
    """Binds `request_id` for logs and problems, and answers it in `X-Request-Id`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = choose_request_id(request.headers.get("X-Request-Id"))
        # Not unbound at the end: Django logs a refusal after the last middleware. The next request binds its own.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response


class InnerPortMiddleware:
    """Serves the pages for operators and developers on the inner port only, and nothing else there, if there is one."""

    _INNER = ("/metrics", "/v1/docs/", "/v1/openapi.yaml")
    # The documentation's scripts, and checks of the process.
    _BOTH = ("/static/", "/healthz", "/readyz")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.INNER_LISTEN and not request.path.startswith(self._BOTH):
            is_inner_port = request.META["SERVER_PORT"] == str(settings.INNER_LISTEN[1])
            if is_inner_port != request.path.startswith(self._INNER):
                return render(request, DomainError("not_found"))
        return self.get_response(request)


class OutageMiddleware:
    """Answers 503 with `Retry-After` when a view failed because the database cannot serve it, pages and admin too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Django's hook: None passes the error on, which becomes a 500."""
        return answer_outage(request, exception)


class ClockMiddleware:
    """Answers 503 to every call that depends on the time while this process's clock is wrong.

    Before sessions: a wrong clock would end them. The pages of till and kiosk do not depend on the time and are served.
    """

    _TIME_DEPENDENT = ("/v1/", "/admin", "/.well-known/")

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not clocks.GUARD.is_trusted() and request.path.startswith(self._TIME_DEPENDENT):
            return render_unavailable(request, clocks.refusal())
        return self.get_response(request)


class RouteNameMiddleware:
    """Name the request's span after its route. Installed only when traces are on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: object) -> None:
        """Read the route as soon as it is resolved."""
        if request.resolver_match is not None:
            traces.name_request(request.resolver_match.route)
