"""The store's staff: initials, and a PIN that is shown once or typed by a manager, and kept as a hash."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.validators import RegexValidator
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from promotions.admin.base import ScopedRelatedFilter, TenantAdmin
from promotions.admin.secrets import show_secret
from promotions.models import StaffMember
from promotions.services.till.staff_members import PIN_ATTEMPTS, PIN_DIGITS, fold_initials, generate_pin, set_pin


class StaffMemberForm(forms.ModelForm[StaffMember]):
    """Initials as the till compares them, and a PIN to give."""

    pin = forms.CharField(
        label="PIN",
        required=False,
        min_length=PIN_DIGITS,
        max_length=PIN_DIGITS,
        validators=[RegexValidator(r"^[0-9]+$", "Digits only.")],
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    generates_pin = forms.BooleanField(label="draw a new PIN", required=False, widget=UnfoldBooleanSwitchWidget)

    class Meta:
        model = StaffMember
        fields: ClassVar[list[str]] = ["store", "initials", "is_manager", "is_active"]

    def clean_initials(self) -> str:
        """Letters and digits, in capitals."""
        initials = fold_initials(self.cleaned_data["initials"])
        if not initials.isalnum():
            raise forms.ValidationError("Letters and digits only.")
        return initials

    def clean(self) -> dict[str, Any] | None:
        """Nobody else of the store has these initials; on a change the store stands fast and is not in the form."""
        cleaned = super().clean()
        initials = self.cleaned_data.get("initials")
        store = self.instance.store if self.instance.store_id else self.cleaned_data.get("store")
        others = StaffMember.objects.filter(store=store, initials=initials).exclude(pk=self.instance.pk)
        if initials and store and others.exists():
            self.add_error("initials", "Somebody of this store has these initials already.")
        return cleaned


@admin.register(StaffMember)
class StaffMemberAdmin(TenantAdmin):
    """Who may stand at a store's tills. A store without members asks for no PIN."""

    form = StaffMemberForm
    list_display = ["initials", "store", "is_manager", "is_locked", "is_active"]
    list_filter = ["is_active", "is_manager", ("store", ScopedRelatedFilter)]
    list_select_related = ["store"]
    search_fields = ["initials", "store__name"]
    autocomplete_fields = ["store"]
    add_fieldsets = [
        (None, {"fields": ["store", "initials", "is_manager"]}),
        (
            "PIN",
            {
                "fields": ["pin"],
                "description": f"{PIN_DIGITS} digits. Leave it empty, and one is drawn and shown once.",
            },
        ),
    ]
    fieldsets = [
        (None, {"fields": ["store", "initials", "is_manager", "is_active", "is_locked"]}),
        (
            "New PIN",
            {
                "fields": ["pin", "generates_pin"],
                "description": f"After {PIN_ATTEMPTS} wrong tries the PIN is locked, and only a new one opens it. "
                "A new PIN signs the member out everywhere.",
            },
        ),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: StaffMember | None = None) -> Any:
        """Another page for a new member."""
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: StaffMember | None = None) -> list[str]:
        """A member does not move to another store: what they took stays in theirs."""
        return ["is_locked", *(["store"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The operator's: who leaves is switched off, and what they took keeps its initials."""
        return bool(request.user.is_superuser) and super().has_delete_permission(request, obj)

    @display(description="locked", boolean=True)
    def is_locked(self, member: StaffMember) -> bool:
        return member.failed_tries >= PIN_ATTEMPTS

    def save_model(
        self, request: HttpRequest, obj: StaffMember, form: forms.ModelForm[StaffMember], change: bool
    ) -> None:
        """Written, then given its PIN; a drawn one is kept for the page that shows it."""
        super().save_model(request, obj, form, change)
        typed = form.cleaned_data.get("pin") or ""
        generated = generate_pin() if not typed and (not change or form.cleaned_data.get("generates_pin")) else ""
        if typed or generated:
            set_pin(member=obj, pin=typed or generated)
        request._new_secret = generated  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: StaffMember, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The PIN, if it was drawn, on this page only."""
        return self._show_pin(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: StaffMember) -> HttpResponse:
        """The PIN, if it was drawn, on this page only."""
        return self._show_pin(request, obj) or super().response_change(request, obj)

    def _show_pin(self, request: HttpRequest, obj: StaffMember) -> HttpResponse | None:
        pin: str = request._new_secret  # type: ignore[attr-defined]
        if not pin:
            return None
        return show_secret(
            request,
            page=self,
            title=f"PIN of {obj.initials} at {obj.store}",
            secret=pin,
            advice="Tell it to them alone. It is not shown again; a new one can be drawn at any time.",
        )
