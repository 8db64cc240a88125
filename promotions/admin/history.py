"""The history page of a row: its records in the audit, and those of what is edited on its page."""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from promotions.admin.audit_lines import describe
from promotions.services.accounts.tenancy import Tenancy, filter_visible
from promotions.services.audit.records import find_history

PAGE_ROWS = 50


def show_history(
    request: HttpRequest,
    object_id: str,
    *,
    page: "ModelAdmin[Any]",
    tenancy: Tenancy,
    extra_context: dict[str, Any] | None = None,
) -> HttpResponse:
    """Show the records that the user may see, newest first."""
    row = page.get_object(request, unquote(object_id))
    if row is None:
        return page._get_obj_does_not_exist_redirect(request, page.opts, object_id)  # type: ignore[attr-defined]
    if not page.has_view_or_change_permission(request, row):
        raise PermissionDenied
    records = filter_visible(rows=find_history(row), tenancy=tenancy)
    requested = request.GET.get(PAGE_VAR, "")
    number = int(requested) if requested.isascii() and requested.isdigit() and len(requested) < 6 else 1
    # One more than is shown: then there are older ones. Nothing counts them.
    found = list(records[(max(number, 1) - 1) * PAGE_ROWS :][: PAGE_ROWS + 1])
    context = {
        **page.admin_site.each_context(request),
        "title": _("Change history: %s") % row,
        "subtitle": None,
        "own_kind": capfirst(str(page.opts.verbose_name)),
        "lines": describe(found[:PAGE_ROWS]),
        "newer": number - 1 if number > 1 else None,
        "older": max(number, 1) + 1 if len(found) > PAGE_ROWS else None,
        "module_name": capfirst(str(page.opts.verbose_name_plural)),
        "object": row,
        "opts": page.opts,
        "preserved_filters": page.get_preserved_filters(request),
        **(extra_context or {}),
    }
    request.current_app = page.admin_site.name
    return TemplateResponse(request, "admin/promotions/history.html", context)
