"""Base classes of the admin pages: rows by tenancy, read-only facts, filters with the user's own rows."""

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import ForeignKey, ManyToManyField, Model, Q, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator

from promotions.admin.history import show_history
from promotions.admin.lookups import find_refused, list_lookups, refuse_lookups
from promotions.models import Campaign
from promotions.services.accounts.tenancy import Tenancy, filter_editable, filter_visible, find_tenancy, is_editable


def tenancy_of(request: HttpRequest) -> Tenancy:
    """Return the tenancy of the request's user; look it up once per request."""
    known: Tenancy | None = getattr(request, "_tenancy", None)
    if known is None:
        known = find_tenancy(user=request.user)
        request._tenancy = known  # type: ignore[attr-defined]
    return known


def leave_dialog(request: HttpRequest, address: str) -> HttpResponse:
    """Return the answer to a dialog's form that leads to another page."""
    # htmx would load a redirect into the current page; this header makes it leave the page. A plain form redirects.
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": address})
    return redirect(address)


class _KeepsToIds:
    """Ignore values that are no ids. Django looks up every posted value, and an invalid one raises."""

    def optgroups(self, name: str, value: Sequence[str], attr: dict[str, Any] | None = None) -> Any:
        possible = [each for each in value if str(each).isascii() and str(each).isdigit() and len(str(each)) <= 18]
        return super().optgroups(name, possible, attr)  # type: ignore[misc]


class AutocompleteOne(_KeepsToIds, AutocompleteSelect):
    """Selects one row by its name."""


class AutocompleteMany(_KeepsToIds, AutocompleteSelectMultiple):
    """Selects several rows by their names."""


class Scoped:
    """Adds tenancy to a page: rows, choices and autocompletes are limited to the user's own; other ids answer 404.

    What the page does not show cannot be filtered by either (`lookups.py`). Every registered page has this base.
    `choose_visible` names the relations to rows that the user need not own, only see: a campaign's stores.
    """

    choose_visible: ClassVar[tuple[str, ...]] = ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Refuse parameters that the page does not declare.

        Reject NUL: filters pass values to PostgreSQL, whose texts cannot contain it.
        """
        page: Any = self
        if not page.has_view_or_change_permission(request):
            raise PermissionDenied
        if any("\x00" in value for values in request.GET.lists() for value in values[1]):
            raise SuspiciousOperation("NUL in the query string")
        if refused := find_refused(page, request):
            return refuse_lookups(request, page=page, refused=refused)
        answer: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
        return answer

    def lookup_allowed(self, lookup: str, value: object, request: HttpRequest | None = None) -> bool:
        """Allow what the page declares; Django alone would allow every column of the model."""
        page: Any = self
        return request is not None and lookup in list_lookups(page, request)

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """Allow references by primary key only: the list of a popup contains the value of each row."""
        page: Any = self
        return to_field in {page.opts.pk.name, page.opts.pk.attname}

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """Let a filter by a related row offer only rows that the user may see, unless it declares its class."""
        entries: Sequence[Any] = super().get_list_filter(request)  # type: ignore[misc]
        return [
            (entry, ScopedRelatedFilter) if isinstance(entry, str) and self._is_relation(entry) else entry
            for entry in entries
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return filter_visible(rows=rows, tenancy=tenancy_of(request))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the audit's records of the row, instead of Django's log, which knows no values and no actions."""
        return show_history(
            request,
            object_id,
            page=self,  # type: ignore[arg-type]
            tenancy=tenancy_of(request),
            extra_context=extra_context,
        )

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Check the role's permission and the row's owner."""
        return self._owns(request, obj) and super().has_change_permission(request, obj)  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Check the role's permission and the row's owner."""
        return self._owns(request, obj) and super().has_delete_permission(request, obj)  # type: ignore[misc]

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **given: Any
    ) -> ModelChoiceField[Any] | None:
        given.setdefault("queryset", self._choices(db_field, request))
        if db_field.name in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            given.setdefault("widget", AutocompleteOne(db_field, self.admin_site))  # type: ignore[attr-defined]
        return super().formfield_for_foreignkey(db_field, request, **given)  # type: ignore[misc]

    def formfield_for_manytomany(self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **given: Any) -> Any:
        given.setdefault("queryset", self._choices(db_field, request))
        if db_field.name in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            given.setdefault("widget", AutocompleteMany(db_field, self.admin_site))  # type: ignore[attr-defined]
        return super().formfield_for_manytomany(db_field, request, **given)  # type: ignore[misc]

    def _is_relation(self, path: str) -> bool:
        page: Any = self
        return bool(get_fields_from_path(page.model, path)[-1].is_relation)

    def _owns(self, request: HttpRequest, obj: Model | None) -> bool:
        return obj is None or is_editable(row=obj, tenancy=tenancy_of(request))

    def _choices(self, db_field: Any, request: HttpRequest) -> QuerySet[Any]:
        rows = db_field.remote_field.model._default_manager.all()
        choose = filter_visible if db_field.name in self.choose_visible else filter_editable
        return choose(rows=rows, tenancy=tenancy_of(request))


class TenantAdmin(Scoped, ModelAdmin):
    """A page of rows that belong to a brand or partner."""


class ReadOnly:
    """Forbids every change: records of the past are not edited in a form."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class FactAdmin(ReadOnly, TenantAdmin):
    """A page of facts. There may be millions, so pages are not counted and ids are looked up exactly.

    `id_search` names the UUID columns; only a search for a UUID uses them.
    """

    id_search: ClassVar[tuple[str, ...]] = ()
    paginator = InfinitePaginator
    show_full_result_count = False

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Show the search box also when only ids can be searched."""
        return [*super().get_search_fields(request), *self.id_search]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look a UUID up by index; search the text columns for other words."""
        identifier = _read_uuid(search_term)
        if identifier is not None and self.id_search:
            found = queryset.none()
            for name in self.id_search:
                found = found | queryset.filter(**{name: identifier})
            return found, False
        if search_term and not self.search_fields:
            return queryset.none(), False
        for word in search_term.split():
            texts: list[Any] = [(f"{name}__icontains", word) for name in self.search_fields]
            queryset = queryset.filter(Q.create(texts, connector=Q.OR))
        return queryset, False


def is_draft(campaign: Campaign | None) -> bool:
    """Return whether a campaign was never opened. One that is not saved yet will be a draft."""
    return campaign is None or campaign.state == Campaign.State.DRAFT


class MechanicInline(TabularInline):
    """A campaign's rows of one mechanic. They are fixed when the campaign opens."""

    extra = 0

    def has_add_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return is_draft(obj) and bool(super().has_add_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return is_draft(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return is_draft(obj) and bool(super().has_delete_permission(request, obj))


class ScopedRelatedFilter(admin.RelatedFieldListFilter):
    """A filter by a related row; it offers only rows that the user may see."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        rows = filter_visible(rows=field.remote_field.model._default_manager.all(), tenancy=tenancy_of(request))
        ordering = self.field_admin_ordering(field, request, model_admin)
        limit = {"pk__in": rows.values("pk")}
        return list(field.get_choices(include_blank=False, ordering=ordering, limit_choices_to=limit))


def _read_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None
