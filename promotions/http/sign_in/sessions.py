"""The session behind a request: begun by Django's login, checked when a view asks for the user."""

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from promotions import clock
from promotions.http.address import read_address
from promotions.logic.sign_ins import coarsen_network, name_device
from promotions.models import AdminSession
from promotions.services.accounts import sessions
from promotions.services.accounts.security_log import Origin
from promotions.services.accounts.sessions import EndReason

# The key of the row's id in Django's session.
SESSION_ID = "admin_session"

# Names of the pages that change accounts, credentials, roles or who may see what.
_ACCOUNT_PAGES = (
    "admin:auth_",
    "admin:password_change",
    "admin:promotions_membership_",
    "admin:promotions_brandtoken_",
    "admin:promotions_secondfactor_",
    "admin:promotions_invitation_",
)

_NOTICES = {
    EndReason.ACCOUNT_CHANGED: _("Your password or your role has changed. Please sign in again."),
    EndReason.EXPIRED: _("Your session has expired. Please sign in again."),
    EndReason.FACTOR_MISSING: _("A second factor is required. Please sign in again."),
    EndReason.FACTOR_REMOVED: _("A second factor was removed. Please sign in again."),
    EndReason.ENDED_BY_USER: _("This session was ended from another one. Please sign in again."),
}


def read_origin(request: HttpRequest) -> Origin:
    """Return browser and network of a request."""
    address = read_address(request)
    return Origin(
        device=name_device(request.headers.get("User-Agent", "")[:400]),
        address=address,
        network=coarsen_network(address),
    )


def read_session_id(request: HttpRequest) -> uuid.UUID | None:
    """Return the id of the row behind the request's session."""
    try:
        return uuid.UUID(request.session.get(SESSION_ID, ""))
    except ValueError:
        return None


class CheckedSessionMiddleware:
    """Makes `request.user` anonymous unless the session is still valid. Checks only where a view reads the user."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        claimed = request.user
        request.user = SimpleLazyObject(lambda: _check(request, claimed))  # type: ignore[assignment]
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: object) -> HttpResponse | None:
        """Ask for the credentials again before a page that changes accounts, if the last time is too long ago."""
        match = request.resolver_match
        if match is None or not _changes_accounts(request, match.view_name) or not request.user.is_authenticated:
            return None
        # A form that was opened in time may be sent a little later.
        within = 2 if request.method == "POST" else 1
        if sessions.is_confirmed(current_session(request), now=clock.now(), within=within):
            return None
        return redirect_to_confirmation(request.get_full_path())


def _changes_accounts(request: HttpRequest, view_name: str) -> bool:
    if not view_name.startswith(_ACCOUNT_PAGES):
        return False
    # Lists are only read, but their actions change rows.
    return request.method == "POST" or not view_name.endswith(("_changelist", "_history", "_view"))


def redirect_to_confirmation(page: str) -> HttpResponse:
    """Lead to the sign-in page, and from there to a page. A form that was sent is opened again empty."""
    query = urlencode({"confirm": 1, "next": page})
    return HttpResponseRedirect(f"{reverse('admin:login')}?{query}")


def _check(request: HttpRequest, claimed: Any) -> User | AnonymousUser:
    if not claimed.is_authenticated:
        return AnonymousUser()
    # Behind Django's lazy object is the user itself.
    user: User = getattr(claimed, "_wrapped", claimed)
    checked = sessions.check_session(
        session_id=read_session_id(request), user=user, origin=read_origin(request), now=clock.now()
    )
    request._admin_session = checked.session  # type: ignore[attr-defined]
    if checked.ended_by is None:
        return user
    request.session.flush()
    if notice := _NOTICES.get(checked.ended_by):
        messages.warning(request, notice)
    return AnonymousUser()


def current_session(request: HttpRequest) -> AdminSession:
    """Return the row of a signed-in user's session."""
    assert request.user.is_authenticated
    session: AdminSession = request._admin_session  # type: ignore[attr-defined]
    return session


def _begin(sender: object, request: HttpRequest, user: User, **_given: Any) -> None:
    method = getattr(request, "sign_in_method", AdminSession.Method.PASSWORD)
    session = sessions.begin_session(user=user, method=method, origin=read_origin(request), now=clock.now())
    request.session[SESSION_ID] = str(session.pk)


def _end(sender: object, request: HttpRequest, user: User | None, **_given: Any) -> None:
    session_id = read_session_id(request)
    session = AdminSession.objects.filter(pk=session_id).first() if session_id else None
    if user is not None and session is not None:
        sessions.end_session(
            session, reason=EndReason.SIGNED_OUT, user=user, origin=read_origin(request), now=clock.now()
        )


def connect() -> None:
    """Write a row for each sign-in and sign-out, whichever view makes it."""
    user_logged_in.connect(_begin, dispatch_uid="promotions.begin_session")
    user_logged_out.connect(_end, dispatch_uid="promotions.end_session")
