"""The base of every DRF view: one reading of the clock per request, and no undeclared query parameter."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from promotions import clock
from promotions.http.parsers import MAX_BODY_BYTES
from promotions.http.serializers import StrictSerializer, read_query


class ApiView(APIView):
    """Query parameters are declared per method in `query_serializers` and read in `query`; the time is `now`.

    HEAD is answered as GET, with the same parameters; the server leaves the body out.
    """

    # No OPTIONS: DRF would promise it in `Allow`, and has nothing to answer it with here.
    http_method_names = [name for name in APIView.http_method_names if name != "options"]
    query_serializers: ClassVar[Mapping[str, type[Serializer[Any]]]] = {}
    now: datetime
    query: dict[str, Any]

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """DRF's request. It treats a body without Content-Length (chunked) as empty, so set the length."""
        if request.headers.get("Transfer-Encoding") and not request.META.get("CONTENT_LENGTH"):
            request.META["CONTENT_LENGTH"] = str(len(request.body))
        self.now = clock.now()
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate, then refuse a method the address does not have, then every parameter the call does not have."""
        super().initial(request, *args, **kwargs)
        if request.method not in self.allowed_methods:
            self.http_method_not_allowed(request, *args, **kwargs)
        method = "GET" if request.method == "HEAD" else str(request.method)
        self.query = read_query(self.query_serializers.get(method, StrictSerializer), request)


def raw_body(request: Request) -> bytes:
    """The raw body, for fingerprints. Reading stops one byte past the limit."""
    return request._request.body[: MAX_BODY_BYTES + 1]
