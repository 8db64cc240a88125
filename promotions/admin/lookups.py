"""Lookups that the address of a list may contain: those of the columns, filters and dates that its page shows."""

from collections.abc import Iterator
from typing import Any

from django.contrib.admin import EmptyFieldListFilter, ModelAdmin, SimpleListFilter
from django.contrib.admin.options import TO_FIELD_VAR
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ERROR_FLAG, IGNORED_PARAMS, PAGE_VAR
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Field, ForeignKey, Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

_EXACT = ("", "__exact", "__isnull")
_RANGE = ("__gt", "__gte", "__lt", "__lte")
_EXACT_FIELDS = (models.CharField, models.TextField, models.BooleanField, models.UUIDField)
_RANGE_FIELDS = (
    models.DateField,
    models.TimeField,
    models.IntegerField,
    models.FloatField,
    models.DecimalField,
)
_DATE_PARTS = ("year", "month", "day")
# Parameters of the list itself: search, order, page and others.
_NO_LOOKUPS = frozenset({*IGNORED_PARAMS, PAGE_VAR, ERROR_FLAG})
# Further parameters are counted on the page that refuses them.
_NAMED = 20
# Python's dates end with the year 9999, and the list of a year ends with the next one.
_LAST_YEAR = 9998


def list_lookups(page: ModelAdmin[Any], request: HttpRequest) -> frozenset[str]:
    """Return the names of all parameters by which a user may filter the page's list.

    A filter reveals a column's value by the rows that stay, so a column that the page does not show has none.
    Patterns (`regex`, `contains` and others) are not among them.
    """
    return frozenset(_generate_lookups(page, request))


def find_refused(page: ModelAdmin[Any], request: HttpRequest) -> list[str]:
    """Return the parameters of the request that are not allowed, or whose value cannot be meant, in their order."""
    allowed = list_lookups(page, request)
    given = [name for name in request.GET if name not in _NO_LOOKUPS]
    refused = [name for name in given if name not in allowed]
    refused += [name for name in given if name in allowed and not _is_date_part_valid(page, name, request)]
    to_field = request.GET.get(TO_FIELD_VAR)
    if to_field and not page.to_field_allowed(request, to_field):
        refused.append(TO_FIELD_VAR)
    return refused


def refuse_lookups(request: HttpRequest, *, page: ModelAdmin[Any], refused: list[str]) -> HttpResponse:
    """Return a page that names the parameters, with a link to the whole list."""
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": _("This list cannot be filtered like that"),
        "refused": refused[:_NAMED],
        "count": len(refused),
        "unnamed": max(0, len(refused) - _NAMED),
        "list_url": reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist"),
    }
    return TemplateResponse(request, "admin/promotions/refused_lookups.html", context, status=400)


def list_choice_fields(page: ModelAdmin[Any], request: HttpRequest) -> Iterator[tuple[type[Model], str]]:
    """Yield the relations whose rows the page and its inlines let a user search: the model and the field's name."""
    for each in (page, *page.inlines, *page.get_inlines(request, None)):
        yield from ((each.model, name) for name in each.autocomplete_fields)
    for path, _filter in _list_filtered_columns(page, request):
        field = get_fields_from_path(page.model, path)[-1]
        if isinstance(field, ForeignKey):
            yield field.model, field.name


def _generate_lookups(page: ModelAdmin[Any], request: HttpRequest) -> Iterator[str]:
    for column in page.get_list_display(request):
        field = _find_column(page.model, column)
        if field is not None:
            yield from _generate_forms(field.name, field)
    for entry in page.get_list_filter(request):
        if isinstance(entry, type) and issubclass(entry, SimpleListFilter):
            yield str(entry.parameter_name)
    for path, filter_class in _list_filtered_columns(page, request):
        if isinstance(filter_class, type) and issubclass(filter_class, EmptyFieldListFilter):
            yield f"{path}__isempty"
        else:
            yield from _generate_forms(path, get_fields_from_path(page.model, path)[-1])
    if page.date_hierarchy:
        yield from (f"{page.date_hierarchy}__{part}" for part in _DATE_PARTS)


def _list_filtered_columns(page: ModelAdmin[Any], request: HttpRequest) -> Iterator[tuple[str, object]]:
    """Yield the path and the class of each filter on a column; None if it declares no class."""
    for entry in page.get_list_filter(request):
        if isinstance(entry, str):
            yield entry, None
        elif isinstance(entry, list | tuple):
            yield str(entry[0]), entry[1]


def _generate_forms(path: str, field: Any) -> Iterator[str]:
    """Yield the exact forms of a lookup, and the ranges where the column has an order that a reader knows."""
    if isinstance(field, ForeignKey):
        for end in ("", f"__{field.target_field.name}"):
            yield from (f"{path}{end}{form}" for form in _EXACT)
    elif field.is_relation:
        yield from (f"{path}__{field.related_model._meta.pk.name}{form}" for form in ("__exact", ""))
        yield f"{path}__isnull"
    elif isinstance(field, _RANGE_FIELDS):
        yield from (f"{path}{form}" for form in (*_EXACT, *_RANGE))
    elif isinstance(field, _EXACT_FIELDS):
        yield from (f"{path}{form}" for form in _EXACT)


def _find_column(model: type[Model], name: object) -> Field[Any, Any] | None:
    """Return the column of this name. None: a method shows something derived."""
    try:
        field = model._meta.get_field(str(name))
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, Field) else None


def _is_date_part_valid(page: ModelAdmin[Any], name: str, request: HttpRequest) -> bool:
    """Return whether the value is a number that dates can have, for a part of the page's date hierarchy."""
    if not page.date_hierarchy or name not in {f"{page.date_hierarchy}__{part}" for part in _DATE_PARTS}:
        return True
    return all(
        value.isascii() and value.isdigit() and len(value) <= 4 and 1 <= int(value) <= _LAST_YEAR
        for value in request.GET.getlist(name)
    )
