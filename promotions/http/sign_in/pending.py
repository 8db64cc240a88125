"""A sign-in between its steps: the password was right, the second factor is missing. No one is signed in yet."""

from dataclasses import dataclass

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpRequest

from promotions import clock
from promotions.http.sign_in.sessions import current_session, read_origin
from promotions.models import AdminSession
from promotions.services.accounts import sessions, throttle
from promotions.services.accounts.sessions import EndReason

_KEY = "pending_sign_in"
_LIFE_S = 600


@dataclass(frozen=True, slots=True)
class Pending:
    """The user who typed the right password, and the page to go to."""

    user: User
    next: str


def begin_pending(request: HttpRequest, *, user: User, next_page: str) -> None:
    """Remember a right password for ten minutes. The stamp makes a change of the account end it."""
    request.session[_KEY] = {
        "user": user.pk,
        "next": next_page,
        "at": clock.now().timestamp(),
        "stamp": sessions.compute_stamp(user.pk),
    }


def read_pending(request: HttpRequest) -> Pending | None:
    """Return the sign-in under way, if it is not too old."""
    given = request.session.get(_KEY)
    if not given or not 0 <= clock.now().timestamp() - given["at"] <= _LIFE_S:
        return None
    user = User.objects.filter(pk=given["user"], is_active=True, is_staff=True).first()
    if user is None or sessions.compute_stamp(user.pk) != given["stamp"]:
        return None
    return Pending(user, given["next"])


def complete(request: HttpRequest, *, user: User, method: AdminSession.Method, next_page: str) -> str:
    """Sign the user in, or confirm the session if it is the user's. Return the page to go to."""
    now, origin = clock.now(), read_origin(request)
    request.session.pop(_KEY, None)
    if request.user.is_authenticated:
        session = current_session(request)
        if session.user_id == user.pk:
            sessions.confirm_session(session_id=session.pk, now=now)
            return next_page
        sessions.end_session(session, reason=EndReason.SIGNED_OUT, user=request.user, origin=origin, now=now)
    request.sign_in_method = method  # type: ignore[attr-defined]
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return next_page


def charge(request: HttpRequest, account: str) -> throttle.Charge:
    """Count an attempt of an account."""
    return throttle.charge_sign_in(account=account, origin=read_origin(request), now=clock.now())
