"""The user's own account: second factors, recovery codes, sessions, password."""

import uuid
from typing import Any

import segno
from django.contrib import admin, messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from promotions import clock
from promotions.http.sign_in.forms import AppForm
from promotions.http.sign_in.pages import render_page, sign_in_page
from promotions.http.sign_in.pending import charge, complete, read_pending
from promotions.http.sign_in.sessions import current_session, read_origin, redirect_to_confirmation
from promotions.models import AdminSession, RecoveryCode, SecondFactor
from promotions.services.accounts import factors, sessions, throttle
from promotions.services.accounts.security_log import Kind, record_security_event
from promotions.services.accounts.sessions import EndReason

_SETUP_KEY = "totp_setup"
_CODES_KEY = "new_recovery_codes"
_METHODS = {
    SecondFactor.Kind.TOTP: AdminSession.Method.TOTP,
    SecondFactor.Kind.PASSKEY: AdminSession.Method.PASSKEY,
}


def read_subject(request: HttpRequest) -> User | None:
    """Return who may add a factor: a user with a fresh session, or one without a factor who typed the password."""
    if request.user.is_authenticated:
        return request.user if sessions.is_confirmed(current_session(request), now=clock.now(), within=2) else None
    pending = read_pending(request)
    if pending is None or factors.has_factor(pending.user):
        return None
    return pending.user


@sign_in_page
@login_required
def account(request: HttpRequest) -> HttpResponse:
    """Show the factors and sessions of the user."""
    user = _user(request)
    context = {
        "title": _("Your account"),
        "factors": factors.list_factors(user),
        "unused_codes": RecoveryCode.objects.filter(user=user, used_at=None).count(),
        "sessions": sessions.list_running(user=user, now=clock.now()),
        "this_session": current_session(request).pk,
    }
    return render_page(request, "account.html", context)


@sign_in_page
def add_factor(request: HttpRequest) -> HttpResponse:
    """Offer a passkey and an app with codes; store the app once it shows the right code."""
    user = read_subject(request)
    if user is None:
        return (
            redirect_to_confirmation(request.get_full_path())
            if request.user.is_authenticated
            else redirect("admin:login")
        )
    secret = request.session.get(_SETUP_KEY, "")
    setup = factors.make_setup(user=user, issuer=_issuer(request), secret=secret)
    request.session[_SETUP_KEY] = setup.secret
    form = AppForm(request.POST or None, initial={"label": _("Phone")})
    if request.method == "POST" and form.is_valid():
        # Guesses here attack no one; the count only keeps them from being free.
        charged = charge(request, f"setup {user.pk}")
        factor = None
        if charged.unlock_at is None:
            factor = factors.add_totp(
                user=user,
                secret=setup.secret,
                code=form.cleaned_data["code"],
                label=form.cleaned_data["label"],
                origin=read_origin(request),
                now=clock.now(),
            )
        if factor is not None:
            throttle.settle_success(charged, is_complete=True)
            request.session.pop(_SETUP_KEY, None)
            return HttpResponseRedirect(finish_enrolment(request, user, factor))
        form.add_error("code", _("This code is not correct. Check the clock of your phone, and type the next code."))
    context = {
        "title": _("Add a second factor"),
        "form": form,
        "setup": setup,
        "qr": mark_safe(segno.make(setup.uri, error="m").svg_inline(scale=4, border=4, light="#fff")),
        "is_first": not request.user.is_authenticated,
        "device": read_origin(request).device,
    }
    return render_page(request, "add_factor.html", context)


def finish_enrolment(request: HttpRequest, user: User, factor: SecondFactor) -> str:
    """Complete a sign-in that waited for the factor; make the first recovery codes. Return the page to go to."""
    next_page = reverse("account")
    pending = read_pending(request)
    if pending is not None:
        method = _METHODS[SecondFactor.Kind(factor.kind)]
        next_page = complete(request, user=user, method=method, next_page=pending.next)
    if RecoveryCode.objects.filter(user=user).exists():
        messages.success(request, _("The second factor was added."))
        return next_page
    request.session[_CODES_KEY] = {
        "codes": factors.make_recovery_codes(user=user, origin=read_origin(request), now=clock.now()),
        "next": next_page,
    }
    return reverse("account-recovery-codes")


@sign_in_page
@login_required
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """Show new recovery codes once; a post makes new ones."""
    if request.method == "POST":
        if not _is_fresh(request):
            return redirect_to_confirmation(reverse("account"))
        user = _user(request)
        if not factors.has_factor(user):
            raise Http404
        request.session[_CODES_KEY] = {
            "codes": factors.make_recovery_codes(user=user, origin=read_origin(request), now=clock.now()),
            "next": reverse("account"),
        }
        return redirect("account-recovery-codes")
    shown: dict[str, Any] | None = request.session.pop(_CODES_KEY, None)
    if shown is None:
        return redirect("account")
    return render_page(request, "recovery_codes.html", {"title": _("Recovery codes"), **shown})


@require_POST
@sign_in_page
@login_required
def remove_factor(request: HttpRequest, factor_id: int) -> HttpResponse:
    """Remove a factor; the user's other sessions end."""
    if not _is_fresh(request):
        return redirect_to_confirmation(reverse("account"))
    removed = factors.remove_factor(
        user=_user(request),
        factor_id=factor_id,
        origin=read_origin(request),
        now=clock.now(),
        keep_session=current_session(request).pk,
    )
    if removed is None:
        messages.error(request, _("The last second factor cannot be removed. Add another one first."))
    else:
        messages.success(request, _("The second factor was removed, and your other sessions have ended."))
    return redirect("account")


@require_POST
@sign_in_page
@login_required
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End one other session, or all others."""
    user, now, origin = _user(request), clock.now(), read_origin(request)
    present = current_session(request).pk
    if "all" in request.POST:
        count = sessions.end_sessions(user=user, reason=EndReason.ENDED_BY_USER, origin=origin, now=now, keep=present)
    else:
        chosen = _read_uuid(request.POST.get("session", ""))
        rows = AdminSession.objects.filter(user=user, pk=chosen).exclude(pk=present) if chosen else ()
        count = sum(
            sessions.end_session(row, reason=EndReason.ENDED_BY_USER, user=user, origin=origin, now=now) for row in rows
        )
    if count:
        messages.success(request, _("The session has ended.") if count == 1 else _("The sessions have ended."))
    return redirect("account")


@sign_in_page
@login_required
def change_password(request: HttpRequest) -> HttpResponse:
    """Show Django's page; the present session survives the change, all others end."""
    response = admin.site.password_change(request)
    user = _user(request)
    if request.method == "POST" and response.status_code == 302:
        now, origin, present = clock.now(), read_origin(request), current_session(request).pk
        sessions.renew_stamp(session_id=present, user=user)
        record_security_event(Kind.PASSWORD_CHANGED, user=user, origin=origin, now=now)
        sessions.end_sessions(user=user, reason=EndReason.ACCOUNT_CHANGED, origin=origin, now=now, keep=present)
    return response


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


def _is_fresh(request: HttpRequest) -> bool:
    return sessions.is_confirmed(current_session(request), now=clock.now(), within=2)


def _issuer(request: HttpRequest) -> str:
    return f"Doorstep ({request.get_host()})".replace(":", " ")


def _read_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
