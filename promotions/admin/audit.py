"""Who did it: all changes of configuration and rights, and all actions, with filters and export."""

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from promotions.admin.audit_export import stream_csv
from promotions.admin.audit_lines import ACTOR_KINDS, Line, describe
from promotions.admin.base import FactAdmin, ScopedRelatedFilter
from promotions.database.acting import ActorKind
from promotions.models import AuditRecord
from promotions.row_policies.audits import list_audited

# A search for a part of a name that more users have finds the first of them.
_USERS_FOUND = 100


class ActorKindFilter(admin.SimpleListFilter):
    """One kind of actor."""

    title = _("kind of actor")
    parameter_name = "kind_of_actor"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Any]]:
        """Return every kind."""
        return [(kind.value, capfirst(str(name))) for kind, name in ACTOR_KINDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditRecord]) -> QuerySet[AuditRecord]:
        """Return the records of the chosen kind."""
        return queryset.filter(actor_kind=self.value()) if self.value() else queryset


class SubjectFilter(admin.SimpleListFilter):
    """Changes of one kind of row, and of what is edited on its page."""

    title = _("kind of row")
    parameter_name = "kind_of_row"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Any]]:
        """Return the audited models that the user may view."""
        return sorted(self._list_models(request), key=lambda choice: choice[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditRecord]) -> QuerySet[AuditRecord]:
        """Return the records of the chosen model."""
        chosen = self.value()
        return queryset.filter(Q(subject=chosen) | Q(parent=chosen)) if chosen else queryset

    def _list_models(self, request: HttpRequest) -> Iterator[tuple[str, str]]:
        for table in list_audited():
            options = table.model._meta
            if not options.auto_created and request.user.has_perm(f"{options.app_label}.view_{options.model_name}"):
                yield options.label_lower, capfirst(str(options.verbose_name_plural))


@admin.register(AuditRecord)
class AuditRecordAdmin(FactAdmin):
    """The audit. The operator sees all of it; the people of a brand or a partner see the changes of its own rows."""

    list_display = ["at", "actor", "what", "row", "changed", "reason"]
    list_filter = [
        ("recorded_at", admin.DateFieldListFilter),
        ActorKindFilter,
        SubjectFilter,
        "operation",
        ("brand", ScopedRelatedFilter),
    ]
    list_before_template = "admin/promotions/audit_head.html"
    list_per_page = 50
    search_fields = ["subject_label", "subject_id", "reason", "action", "request_id"]
    search_help_text = _("Name or key of a row, user, reason, action or request id.")
    id_search = ("deed_id",)
    ordering = ["-recorded_at", "-id"]
    fieldsets = [
        (None, {"fields": ["at", "actor", "what", "row", "changed", "reason", "request_id", "same_deed"]}),
        (
            _("As recorded"),
            {
                "fields": [
                    "operation", "actor_kind", "actor_id", "action", "subject", "subject_id", "subject_label", "parent",
                    "parent_id", "brand", "partner", "deed_id",
                ],
                "classes": ["collapse"],
            },
        ),
    ]  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        """Add the export."""
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/", view, name="promotions_auditrecord_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest) -> StreamingHttpResponse:
        """Send what the list shows with these filters, all pages of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return stream_csv(request, self.get_changelist_instance(request).get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditRecord], search_term: str
    ) -> tuple[QuerySet[AuditRecord], bool]:
        """Find records also by the name of the user who acted."""
        found, repeats = super().get_search_results(request, queryset, search_term)
        name = search_term.strip()
        users = User.objects.filter(username__icontains=name).values_list("pk", flat=True)[:_USERS_FOUND]
        keys = [str(pk) for pk in users] if name else []
        return (found | queryset.filter(actor_kind=ActorKind.USER, actor_id__in=keys) if keys else found), repeats

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Describe the records of the page at once, for its columns."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = list(changelist.result_list)
        for record, line in zip(changelist.result_list, describe(changelist.result_list), strict=True):
            record.line = line
        return changelist

    @display(description=_("when"), ordering="recorded_at")
    def at(self, record: AuditRecord) -> str:
        return _line_of(record).at

    @display(description=_("who"))
    def actor(self, record: AuditRecord) -> SafeString:
        line = _line_of(record)
        return format_html("{}<small class='audit-note'>{}</small>", line.actor, line.actor_kind)

    @display(description=_("action"))
    def what(self, record: AuditRecord) -> str:
        return _line_of(record).action

    @display(description=_("row"))
    def row(self, record: AuditRecord) -> SafeString | str:
        line = _line_of(record)
        if not line.subject_kind:
            return "–"
        name = line.subject or "–"
        linked = format_html('<a class="text-link" href="{}">{}</a>', line.address, name) if line.address else name
        return format_html("{}<small class='audit-note'>{}</small>", linked, line.subject_kind)

    @display(description=_("changes"))
    def changed(self, record: AuditRecord) -> SafeString:
        return SafeString(render_to_string("admin/promotions/audit_changes.html", {"line": _line_of(record)}))

    @display(description=_("in the same request"))
    def same_deed(self, record: AuditRecord) -> SafeString | str:
        if record.deed_id is None:
            return "–"
        address = reverse("admin:promotions_auditrecord_changelist", query={"q": str(record.deed_id)})
        return format_html('<a class="text-link" href="{}">{}</a>', address, _("All records of this request"))


def _line_of(record: Any) -> Line:
    if not hasattr(record, "line"):
        record.line = describe([record])[0]
    line: Line = record.line
    return line
