"""Parts that the sign-in pages share: where a page leads to, its context, and its headers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters

View = Callable[..., HttpResponse]


def sign_in_page(view: View) -> View:
    """Never cached, checked against forged posts, and without passwords in error reports."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **given: Any) -> HttpResponse:
        return view(request, *args, **given)

    return sensitive_post_parameters()(never_cache(csrf_protect(answer)))


def read_next(request: HttpRequest) -> str:
    """Return the page to go to after the sign-in: a path of this host, else the overview."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    if url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return target
    return resolve_url("admin:index")


def render_page(
    request: HttpRequest, template: str, context: dict[str, Any], *, status: int | None = None
) -> TemplateResponse:
    """Return a page in the look of admin."""
    return TemplateResponse(
        request,
        f"admin/sign_in/{template}",
        {**admin.site.each_context(request), "app_path": reverse("admin:login"), **context},
        status=status,
    )
