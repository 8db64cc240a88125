"""Reasons: actions that take something from people ask why. The audit stores the reason with what changed."""

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import count
from typing import Any

from django import forms
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from promotions.database.acting import give_reason

MIN_CHARS = 10
MAX_CHARS = 240
# Rows that the page names; it counts the others.
_NAMED = 10

_numbers = count(1)


class ReasonWidget(UnfoldAdminTextInputWidget):
    """A line of text with suggestions, which the browser offers while the user types."""

    template_name = "admin/promotions/reason.html"

    def __init__(self, suggestions: Sequence[object] = (), attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs=attrs)
        self.suggestions = suggestions

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Add the suggestions, in a list with a unique id."""
        listed = f"reasons-{next(_numbers)}"
        context: dict[str, Any] = super().get_context(name, value, {**(attrs or {}), "list": listed})
        return {**context, "listed": listed, "suggestions": self.suggestions}


class ReasonField(forms.CharField):
    """Why, in a few words."""

    def __init__(self, *suggestions: object, **given: Any) -> None:
        super().__init__(
            **{
                "label": _("Reason"),
                "min_length": MIN_CHARS,
                "max_length": MAX_CHARS,
                "widget": ReasonWidget(suggestions),
                "help_text": _("It stays in the audit. Do not name customers."),
                **given,
            }
        )


def make_reason_form(*suggestions: object) -> type[BaseDialogForm]:
    """Return the form of a dialog that asks for a reason."""

    class ReasonForm(BaseDialogForm):
        reason = ReasonField(*suggestions)

        def clean_reason(self) -> str:
            """Record it with all that the action changes."""
            reason: str = self.cleaned_data["reason"]
            give_reason(reason)
            return reason

    return ReasonForm


Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]


def asks_reason(*suggestions: object) -> Callable[[Action], Action]:
    """Ask for a reason before an action on selected rows. Decorate the method below `@action`."""

    def decorate(function: Action) -> Action:
        @wraps(function)
        def ask(page: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
            is_answer = "reason" in request.POST
            form = _ReasonForm(request.POST if is_answer else None, suggestions=suggestions)
            if is_answer and form.is_valid():
                give_reason(form.cleaned_data["reason"])
                return function(page, request, queryset)
            return _show_form(page, request, queryset, form)

        return ask

    return decorate


class _ReasonForm(forms.Form):
    reason = ReasonField()

    def __init__(self, *args: Any, suggestions: Sequence[object], **given: Any) -> None:
        super().__init__(*args, **given)
        self.fields["reason"].widget.suggestions = suggestions


def _show_form(page: Any, request: HttpRequest, queryset: QuerySet[Any], form: forms.Form) -> HttpResponse:
    action = request.POST["action"]
    rows = list(queryset[: _NAMED + 1])
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": page.get_actions(request)[action][2],
        "form": form,
        "action": action,
        "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "select_across": request.POST.get("select_across", "0"),
        "rows": rows[:_NAMED],
        "others": queryset.count() - _NAMED if len(rows) > _NAMED else 0,
    }
    return TemplateResponse(request, "admin/promotions/ask_reason.html", context)
