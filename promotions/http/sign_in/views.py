"""The sign-in: user name and password, then the second factor."""

import math
import re

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from promotions import clock
from promotions.http.sign_in.forms import CodeForm, SignInForm
from promotions.http.sign_in.pages import read_next, render_page, sign_in_page
from promotions.http.sign_in.pending import Pending, begin_pending, charge, complete, read_pending
from promotions.http.sign_in.sessions import read_origin
from promotions.models import AdminSession, SecondFactor
from promotions.services.accounts import factors, throttle
from promotions.services.accounts.security_log import Kind, log_security_event, record_security_event
from promotions.services.accounts.throttle import Charge

Method = AdminSession.Method


@sign_in_page
def sign_in(request: HttpRequest) -> HttpResponse:
    """Ask for user name and password. A signed-in user comes here to confirm, with `?confirm=1`."""
    is_confirming = request.user.is_authenticated and "confirm" in request.GET
    next_page = read_next(request)
    if request.method != "POST":
        if request.user.is_authenticated and request.user.is_staff and not is_confirming:
            return HttpResponseRedirect(next_page)
        form = SignInForm(initial={"username": request.user.get_username() if is_confirming else ""})
        return _render_sign_in(request, form, is_confirming=is_confirming)
    form = SignInForm(request.POST)
    if not form.is_valid():
        return _render_sign_in(request, form, is_confirming=is_confirming)
    name = form.cleaned_data["username"]
    charged = charge(request, name)
    user = None
    if charged.unlock_at is None:
        found = authenticate(request, username=name, password=form.cleaned_data["password"])
        user = found if isinstance(found, User) and found.is_staff else None
    if user is None:
        form.add_error(None, explain_refusal(request, name, charged))
        return _render_sign_in(request, form, is_confirming=is_confirming)
    if factors.has_factor(user) or factors.is_required():
        throttle.settle_success(charged, is_complete=False)
        begin_pending(request, user=user, next_page=next_page)
        return redirect("sign-in-factor")
    throttle.settle_success(charged, is_complete=True)
    return HttpResponseRedirect(complete(request, user=user, method=Method.PASSWORD, next_page=next_page))


def _render_sign_in(request: HttpRequest, form: SignInForm, *, is_confirming: bool) -> HttpResponse:
    next_page = read_next(request)
    context = {
        "form": form,
        "next": next_page,
        "is_confirming": is_confirming,
        "passkey_address": reverse("passkey-sign-in", query={"next": next_page}),
    }
    return render_page(request, "login.html", context)


@sign_in_page
def sign_in_factor(request: HttpRequest) -> HttpResponse:
    """Ask for a code or a passkey. A user without a factor is led to enrolment and can do nothing else."""
    pending = read_pending(request)
    if pending is None:
        return redirect("admin:login")
    known = factors.list_factors(pending.user)
    if not known:
        return redirect("account-add-factor")
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        charged = charge(request, pending.user.get_username())
        method = None
        if charged.unlock_at is None:
            method = _use_code(request, pending, form.cleaned_data["code"])
        if method is not None:
            throttle.settle_success(charged, is_complete=True)
            next_page = complete(request, user=pending.user, method=method, next_page=pending.next)
            return HttpResponseRedirect(next_page)
        form.add_error("code", explain_refusal(request, pending.user.get_username(), charged, is_code=True))
    kinds = {factor.kind for factor in known}
    context = {
        "form": form,
        "has_app": SecondFactor.Kind.TOTP in kinds,
        "has_passkey": SecondFactor.Kind.PASSKEY in kinds,
    }
    return render_page(request, "factor.html", context)


def _use_code(request: HttpRequest, pending: Pending, code: str) -> AdminSession.Method | None:
    now = clock.now()
    if re.fullmatch(r"\s*\d{3}\s*\d{3}\s*", code):
        return Method.TOTP if factors.use_totp(user=pending.user, code=code, now=now) else None
    used = factors.use_recovery_code(user=pending.user, code=code, origin=read_origin(request), now=now)
    return Method.RECOVERY_CODE if used else None


def explain_refusal(request: HttpRequest, name: str, charged: Charge, *, is_code: bool = False) -> str:
    """Log a failed or refused attempt, and return the sentence for the page: the same for unknown accounts."""
    now, origin = clock.now(), read_origin(request)
    account = User.objects.filter(username=name).first()
    if charged.unlock_at is not None:
        log_security_event("sign_in_refused", user=account, origin=origin, detail="locked")
        minutes = max(1, math.ceil((charged.unlock_at - now).total_seconds() / 60))
        return ngettext(
            "Too many failed attempts. Try again in %(minutes)d minute.",
            "Too many failed attempts. Try again in %(minutes)d minutes.",
            minutes,
        ) % {"minutes": minutes}
    detail = "second factor" if is_code else "password"
    record_security_event(Kind.SIGN_IN_FAILED, user=account, origin=origin, now=now, detail=detail)
    if charged.is_last:
        record_security_event(Kind.LOCKED_OUT, user=account, origin=origin, now=now)
    if is_code:
        return _("This code is not correct, or it was used before.")
    return _("User name or password is not correct. Both are case-sensitive.")
