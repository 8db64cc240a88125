"""The admin's search box and choices of related rows, with the validation that unfold and Django lack."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponseBase

from promotions.admin.lookups import list_choice_fields


def search(request: HttpRequest) -> HttpResponseBase:
    """Call unfold's search; answer 404 to a page that is no number."""
    page = request.GET.get("page", "1")
    if not (page.isascii() and page.isdecimal() and len(page) < 7):
        raise Http404
    answer: HttpResponseBase = admin.site.admin_view(admin.site.search)(request)  # type: ignore[attr-defined]
    return answer


def autocomplete(request: HttpRequest) -> HttpResponseBase:
    """Call Django's autocomplete for the relations that a page declares; it would take any relation of any model."""
    return admin.site.admin_view(_complete)(request)


def _complete(request: HttpRequest) -> HttpResponseBase:
    asked = tuple(request.GET.get(name, "").lower() for name in ("app_label", "model_name", "field_name"))
    declared = {
        (model._meta.app_label, model._meta.model_name, name)
        for page in admin.site._registry.values()
        for model, name in list_choice_fields(page, request)
    }
    if asked not in declared:
        raise PermissionDenied
    if "\x00" in request.GET.get("term", ""):
        raise SuspiciousOperation("NUL in the query string")
    return admin.site.autocomplete_view(request)
