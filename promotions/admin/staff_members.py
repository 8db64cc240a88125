"""Staff members: initials and a PIN. The PIN is stored as a hash and shown once."""

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
    """Initials in the form that the till compares, and a new PIN."""

    pin = forms.CharField(
        label="PIN",
        required=False,
        min_length=PIN_DIGITS,
        max_length=PIN_DIGITS,
        validators=[RegexValidator(r"^[0-9]+$", "Enter digits only.")],
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    generates_pin = forms.BooleanField(label="generate a new PIN", required=False, widget=UnfoldBooleanSwitchWidget)

    class Meta:
        model = StaffMember
        fields: ClassVar[list[str]] = ["store", "initials", "is_manager", "is_active"]

    def clean_initials(self) -> str:
        """Require letters and digits; fold them to capitals."""
        initials = fold_initials(self.cleaned_data["initials"])
        if not initials.isalnum():
            raise forms.ValidationError("Enter letters and digits only.")
        return initials

    def clean(self) -> dict[str, Any] | None:
        """Reject initials that another member of the store has. On a change, the store is not in the form."""
        cleaned = super().clean()
        initials = self.cleaned_data.get("initials")
        store = self.instance.store if self.instance.store_id else self.cleaned_data.get("store")
        others = StaffMember.objects.filter(store=store, initials=initials).exclude(pk=self.instance.pk)
        if initials and store and others.exists():
            self.add_error("initials", "Another member of this store has these initials. Choose others.")
        return cleaned


@admin.register(StaffMember)
class StaffMemberAdmin(TenantAdmin):
    """Staff members of stores. The tills of a store without members ask for no PIN."""

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
                "description": f"{PIN_DIGITS} digits. Leave it empty to generate one, which is shown once.",
            },
        ),
    ]
    fieldsets = [
        (None, {"fields": ["store", "initials", "is_manager", "is_active", "is_locked"]}),
        (
            "New PIN",
            {
                "fields": ["pin", "generates_pin"],
                "description": f"After {PIN_ATTEMPTS} wrong attempts the PIN is locked; a new PIN unlocks it. "
                "A new PIN signs the member out everywhere.",
            },
        ),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: StaffMember | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: StaffMember | None = None) -> list[str]:
        """Fix the store of a member: their redemptions belong to it."""
        return ["is_locked", *(["store"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow it to the operator only. A member who leaves is deactivated, so their redemptions keep the initials."""
        return bool(request.user.is_superuser) and super().has_delete_permission(request, obj)

    @display(description="locked", boolean=True)
    def is_locked(self, member: StaffMember) -> bool:
        return member.failed_tries >= PIN_ATTEMPTS

    def save_model(
        self, request: HttpRequest, obj: StaffMember, form: forms.ModelForm[StaffMember], change: bool
    ) -> None:
        """Save the member and set the PIN; keep a generated one for the page that shows it."""
        super().save_model(request, obj, form, change)
        typed = form.cleaned_data.get("pin") or ""
        generated = generate_pin() if not typed and (not change or form.cleaned_data.get("generates_pin")) else ""
        if typed or generated:
            set_pin(member=obj, pin=typed or generated)
        request._new_secret = generated  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: StaffMember, post_url_continue: str | None = None
    ) -> HttpResponse:
        """Show a generated PIN, on this page only."""
        return self._show_pin(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: StaffMember) -> HttpResponse:
        """Show a generated PIN, on this page only."""
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
            advice="Give it to this person only. It is not shown again; you can generate a new one at any time.",
        )
