"""What every admin page shares: rows by tenancy, facts that cannot be edited, filters that show nothing foreign."""

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.core.exceptions import SuspiciousOperation
from django.db.models import ForeignKey, ManyToManyField, Model, Q, QuerySet
from django.forms import ModelChoiceField
from django.forms.models import _get_foreign_key
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin, TabularInline
from unfold.paginator import InfinitePaginator

from promotions.models import Campaign
from promotions.services.accounts.tenancy import Tenancy, filter_editable, filter_visible, find_tenancy, is_editable


def tenancy_of(request: HttpRequest) -> Tenancy:
    """For whom this request's user acts; looked up once a request."""
    known: Tenancy | None = getattr(request, "_tenancy", None)
    if known is None:
        known = find_tenancy(user=request.user)
        request._tenancy = known  # type: ignore[attr-defined]
    return known


class _KeepsToIds:
    """Django looks up whatever was posted or stands in the address; what is no id at all would break the page."""

    def optgroups(self, name: str, value: Sequence[str], attr: dict[str, Any] | None = None) -> Any:
        """The chosen rows, without what cannot be one."""
        possible = [each for each in value if str(each).isascii() and str(each).isdigit() and len(str(each)) <= 18]
        return super().optgroups(name, possible, attr)  # type: ignore[misc]


class AutocompleteOne(_KeepsToIds, AutocompleteSelect):
    """Choosing a row by typing."""


class AutocompleteMany(_KeepsToIds, AutocompleteSelectMultiple):
    """Choosing rows by typing."""


class Scoped:
    """Tenancy for a page: rows, choices and autocompletes are the user's own, a foreign id does not exist.

    `choose_visible` names the relations whose target needs only be seen, not owned: a campaign's stores.
    """

    choose_visible: ClassVar[tuple[str, ...]] = ()

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list. PostgreSQL has no NUL in its texts, and a filter hands it whatever stands in the address."""
        if any("\x00" in value for values in request.GET.lists() for value in values[1]):
            raise SuspiciousOperation("NUL in the address")
        answer: HttpResponse = super().changelist_view(request, extra_context)  # type: ignore[misc]
        return answer

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows the user may look at."""
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        return filter_visible(rows=rows, tenancy=tenancy_of(request))

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The verb by role, the row by membership."""
        return self._owns(request, obj) and super().has_change_permission(request, obj)  # type: ignore[misc]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """The verb by role, the row by membership."""
        return self._owns(request, obj) and super().has_delete_permission(request, obj)  # type: ignore[misc]

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **given: Any
    ) -> ModelChoiceField[Any] | None:
        """Only what the user owns can be chosen."""
        given.setdefault("queryset", self._choices(db_field, request))
        if db_field.name in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            given.setdefault("widget", AutocompleteOne(db_field, self.admin_site))  # type: ignore[attr-defined]
        return super().formfield_for_foreignkey(db_field, request, **given)  # type: ignore[misc]

    def formfield_for_manytomany(self, db_field: ManyToManyField[Any, Any], request: HttpRequest, **given: Any) -> Any:
        """Only what the user owns, or may at least see, can be chosen."""
        given.setdefault("queryset", self._choices(db_field, request))
        if db_field.name in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            given.setdefault("widget", AutocompleteMany(db_field, self.admin_site))  # type: ignore[attr-defined]
        return super().formfield_for_manytomany(db_field, request, **given)  # type: ignore[misc]

    def _owns(self, request: HttpRequest, obj: Model | None) -> bool:
        return obj is None or is_editable(row=obj, tenancy=tenancy_of(request))

    def _choices(self, db_field: Any, request: HttpRequest) -> QuerySet[Any]:
        rows = db_field.remote_field.model._default_manager.all()
        choose = filter_visible if db_field.name in self.choose_visible else filter_editable
        return choose(rows=rows, tenancy=tenancy_of(request))


class TenantAdmin(Scoped, ModelAdmin):
    """A page of rows that belong to somebody."""


class ReadOnly:
    """Looked at, never edited: what happened is not changed in a form."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class FactAdmin(ReadOnly, TenantAdmin):
    """A page of facts, of which there may be millions: pages are not counted, ids are looked up exactly.

    `id_search` names the UUID columns; a search for anything that is not a UUID leaves them out.
    """

    id_search: ClassVar[tuple[str, ...]] = ()
    paginator = InfinitePaginator
    show_full_result_count = False

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """The box is there when there is anything to search by."""
        return [*super().get_search_fields(request), *self.id_search]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """A UUID finds by index; other words search the text columns."""
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

    @classmethod
    def relation_name(cls) -> str:
        """Return the campaign's name for these rows."""
        key = _get_foreign_key(Campaign, cls.model)
        return str(key.remote_field.get_accessor_name())

    def has_add_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return is_draft(obj) and bool(super().has_add_permission(request, obj))

    def has_change_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return is_draft(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Campaign | None = None) -> bool:
        return is_draft(obj) and bool(super().has_delete_permission(request, obj))


class ScopedRelatedFilter(admin.RelatedFieldListFilter):
    """A filter by a related row that offers only rows the user may see."""

    def field_choices(
        self, field: Any, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, Any]]:
        """Choices from the user's rows."""
        rows = filter_visible(rows=field.remote_field.model._default_manager.all(), tenancy=tenancy_of(request))
        ordering = self.field_admin_ordering(field, request, model_admin)
        limit = {"pk__in": rows.values("pk")}
        return list(field.get_choices(include_blank=False, ordering=ordering, limit_choices_to=limit))


def _read_uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        return None
