"""The deed of a request: the admin page or the call, its actor, and its row in the audit."""

import logging
from collections.abc import Callable
from typing import Any

import structlog
from django.apps import apps
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import DatabaseError
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch

from promotions.database.acting import Actor, ActorKind, Deed, acting, current_deed
from promotions.services.audit.records import is_recorded, record_action

logger = logging.getLogger(__name__)

_SAFE = ("GET", "HEAD", "OPTIONS", "TRACE")
# As many selected rows are named in a record.
_NAMED = 20


class ActingMiddleware:
    """Name the actor of all that a request changes. No action in admin stays without a record.

    Triggers record what changes an audited table. An action that changes none, such as a replay, is recorded here, so
    that no action has to record itself.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = structlog.contextvars.get_contextvars().get("request_id", "")
        with acting(Deed(str(request.method), lambda: _find_user(request), request_id=request_id)) as deed:
            response = self.get_response(request)
            if _is_action(request, response) and not is_recorded(deed):
                self._record(request, deed)
            return response

    def process_view(self, request: HttpRequest, *_view: object) -> None:
        """Name the deed after the page or the route."""
        deed, match = current_deed(), request.resolver_match
        if deed is not None and match is not None:
            deed.action = _name_action(request, match)

    def _record(self, request: HttpRequest, deed: Deed) -> None:
        match = request.resolver_match
        assert match is not None  # a page answered
        model, _verb = _read_page(match)
        selected = request.POST.getlist(ACTION_CHECKBOX_NAME)
        pk: Any = match.kwargs.get("object_id") or (selected[0] if len(selected) == 1 else None)
        changes = {"selected": [None, ", ".join(selected[:_NAMED])]} if len(selected) > 1 else {}
        try:
            record_action(model=model, pk=pk, changes=changes, deed=deed)
        except (DatabaseError, ValueError) as error:
            # The action is done; its answer must say so.
            logger.error("action not recorded", extra={"action": deed.action, "error": type(error).__name__})


def _find_user(request: HttpRequest) -> Actor:
    """Return the user of the session. A credential of the API is named where it is recognised."""
    # The API's framework replaces the user by None where no credential is needed.
    user = getattr(request, "user", None)
    if user is not None and user.is_authenticated and request.path.startswith("/admin"):
        return Actor(ActorKind.USER, str(user.pk))
    return Actor(ActorKind.ANONYMOUS)


def _is_action(request: HttpRequest, response: HttpResponse) -> bool:
    """Return whether a page in admin did what was asked. One that shows the form again, with its faults, did not."""
    match = request.resolver_match
    if request.method in _SAFE or match is None or "admin" not in match.namespaces or response.status_code >= 400:
        return False
    if match.url_name == "logout":
        # Signing in and out is in the security log.
        return False
    return response.status_code in (302, 303) or "HX-Redirect" in response.headers


def _name_action(request: HttpRequest, match: ResolverMatch) -> str:
    if "admin" not in match.namespaces:
        return f"{request.method} /{match.route}"
    model, verb = _read_page(match)
    if verb == "changelist" and request.method == "POST":
        verb = request.POST.get("action") or verb
    return f"admin {model._meta.label_lower} {verb}" if model is not None else f"admin {verb}"


def _read_page(match: ResolverMatch) -> tuple[type[Model] | None, str]:
    """Return the model of a page in admin and the last part of its name, such as `change` or `pause`."""
    parts = (match.url_name or "").split("_", 2)
    if len(parts) == 3:
        try:
            return apps.get_model(parts[0], parts[1]), parts[2]
        except LookupError:
            pass
    return None, match.url_name or ""
