"""Calls of the pages' script for passkeys. The request of a ceremony waits in the session and is used once."""

import json
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from promotions import clock
from promotions.http.sign_in.account import finish_enrolment, read_subject
from promotions.http.sign_in.pages import read_next, sign_in_page
from promotions.http.sign_in.pending import complete, read_pending
from promotions.http.sign_in.sessions import read_origin
from promotions.models import AdminSession
from promotions.services.accounts import passkeys
from promotions.services.accounts.passkeys import Ceremony, Reply, Site
from promotions.services.accounts.security_log import Kind, record_security_event

_KEY = "passkey_ceremony"
_LIFE_S = 300


@require_POST
@sign_in_page
def begin_passkey_sign_in(request: HttpRequest) -> HttpResponse:
    """Return what the browser asks its passkeys for: any account's, or after a password that account's."""
    pending = read_pending(request)
    user = pending.user if pending else None
    if user is None and request.user.is_authenticated:
        user = request.user
    return _begin(request, "sign-in", passkeys.begin_sign_in(user=user, site=read_site(request)))


@require_POST
@sign_in_page
def complete_passkey_sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in the user whose passkey answered."""
    pending, now = read_pending(request), clock.now()
    expected: User | None = pending.user if pending else None
    state = _take(request, "sign-in")
    user = None
    if state is not None:
        reply = Reply(read_site(request), state, _read_answer(request))
        user = passkeys.complete_sign_in(user=expected, reply=reply, now=now)
    if user is None or not user.is_active or not user.is_staff:
        origin = read_origin(request)
        record_security_event(Kind.SIGN_IN_FAILED, user=expected, origin=origin, now=now, detail="passkey")
        return _refuse(_("This passkey was not accepted. Try again, or sign in in another way."))
    next_page = pending.next if pending else read_next(request)
    method = AdminSession.Method.PASSKEY
    return JsonResponse({"next": complete(request, user=user, method=method, next_page=next_page)})


@require_POST
@sign_in_page
def begin_passkey_registration(request: HttpRequest) -> HttpResponse:
    """Return what the browser makes a passkey with."""
    user = read_subject(request)
    if user is None:
        return _refuse(_("Sign in again first."))
    return _begin(request, "registration", passkeys.begin_registration(user=user, site=read_site(request)))


@require_POST
@sign_in_page
def complete_passkey_registration(request: HttpRequest) -> HttpResponse:
    """Store the passkey that the browser made."""
    user, state = read_subject(request), _take(request, "registration")
    if user is None or state is None:
        return _refuse(_("Sign in again first."))
    factor = passkeys.complete_registration(
        user=user,
        reply=Reply(read_site(request), state, _read_answer(request)),
        label=request.GET.get("label", "").replace("\x00", "").strip()[:60] or read_origin(request).device,
        origin=read_origin(request),
        now=clock.now(),
    )
    if factor is None:
        return _refuse(_("This passkey was not accepted. Try again."))
    return JsonResponse({"next": finish_enrolment(request, user, factor)})


def read_site(request: HttpRequest) -> Site:
    """Return the host that passkeys belong to: that of the request, which ALLOWED_HOSTS has checked."""
    host = request.get_host().rsplit(":", 1)[0] if not request.get_host().endswith("]") else request.get_host()
    return Site(host=host, origin=f"{request.scheme}://{request.get_host()}", name="Doorstep")


def _begin(request: HttpRequest, purpose: str, ceremony: Ceremony) -> HttpResponse:
    request.session[_KEY] = {"for": purpose, "at": clock.now().timestamp(), "state": dict(ceremony.state)}
    return JsonResponse(dict(ceremony.options))


def _take(request: HttpRequest, purpose: str) -> dict[str, Any] | None:
    """Return the ceremony's state once."""
    given = request.session.pop(_KEY, None)
    if not given or given["for"] != purpose or not 0 <= clock.now().timestamp() - given["at"] <= _LIFE_S:
        return None
    state: dict[str, Any] = given["state"]
    return state


def _read_answer(request: HttpRequest) -> Any:
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError):
        return None


def _refuse(sentence: str) -> HttpResponse:
    return JsonResponse({"error": sentence}, status=400)
