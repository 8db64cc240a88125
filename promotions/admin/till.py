"""Redemptions and voids: facts; a manager may void a redemption."""

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget

from geofence.admin import at_store
from promotions import clock
from promotions.admin.base import FactAdmin, ScopedRelatedFilter, leave_dialog, tenancy_of
from promotions.admin.reasons import ReasonField
from promotions.admin.till_signals import show_signals
from promotions.database.acting import give_reason
from promotions.errors import DomainError
from promotions.models import Redemption, Void
from promotions.services.accounts.tenancy import is_editable
from promotions.services.till.voids import void_by_user


class VoidForm(BaseDialogForm):
    reason = forms.ChoiceField(choices=Void.Reason.choices, widget=UnfoldAdminSelectWidget)
    note = ReasonField(_("The customer returned the goods."), _("Staff scanned the wrong coupon."), label=_("Details"))

    def clean_note(self) -> str:
        """Record it with the void."""
        note: str = self.cleaned_data["note"]
        give_reason(note)
        return note


@admin.register(Redemption)
class RedemptionAdmin(FactAdmin):
    """Redemptions. A partner sees those of its stores, with the benefit but without the customer."""

    list_display = [
        "redeemed", "store", "staff_device", "staff_member", "benefit", "unit", "amount", "source", "is_live",
    ]  # fmt: skip
    list_filter = [
        "is_live", "source", "is_vouched", ("store", ScopedRelatedFilter), ("staff_member", ScopedRelatedFilter),
        ("redeemed_at", admin.DateFieldListFilter),
    ]  # fmt: skip
    list_select_related = ["store", "staff_device", "staff_member", "coupon"]
    search_fields = ["staff_device__label", "staff_member__initials", "coupon__benefit"]
    id_search = ("id", "coupon__id")
    ordering = ["-redeemed_at"]
    fields = [
        "id", "store", "staff_device", "staff_member", "benefit", "unit", "amount", "source", "scanned", "redeemed",
        "level", "is_vouched", "is_live",
    ]  # fmt: skip
    actions_detail = ["take_back"]

    def get_urls(self) -> list[URLPattern]:
        """Add the page of till signals."""
        view = self.admin_site.admin_view(self.signals_view)
        return [path("signals/", view, name="promotions_redemption_signals"), *super().get_urls()]

    def signals_view(self, request: HttpRequest) -> HttpResponse:
        return show_signals(request, page=self)

    @display(description="benefit", ordering="coupon__benefit")
    def benefit(self, redemption: Redemption) -> str:
        return redemption.coupon.benefit

    @display(description="redeemed", ordering="redeemed_at")
    def redeemed(self, redemption: Redemption) -> str:
        return at_store(redemption.redeemed_at, redemption.store)

    @display(description="scanned (device's clock)", ordering="scanned_at")
    def scanned(self, redemption: Redemption) -> str:
        return at_store(redemption.scanned_at, redemption.store)

    def has_take_back_permission(self, request: HttpRequest, object_id: str) -> bool:
        """Allow it for live redemptions in the user's stores, with the permission to add voids."""
        if not request.user.has_perm("promotions.add_void"):
            return False
        redemption = self.get_object(request, object_id)
        return (
            redemption is not None and redemption.is_live and is_editable(row=redemption, tenancy=tenancy_of(request))
        )

    @action(
        description=_("Void"),
        icon="undo",
        variant=ActionVariant.DANGER,
        permissions=["take_back"],
        dialog={
            "title": _("Void this redemption?"),
            "description": _("The coupon can be redeemed again, and the caps get one use back."),
            "form_class": VoidForm,
            "form_submit_text": _("Void redemption"),
        },
    )
    def take_back(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        redemption = self.get_object(request, object_id)
        assert redemption is not None  # the permission found it
        assert isinstance(request.user, User)  # admin requires a login
        try:
            void_by_user(
                user=request.user,
                redemption_id=redemption.pk,
                reason=Void.Reason(form.cleaned_data["reason"]),
                note=form.cleaned_data["note"],
                now=clock.now(),
            )
        except DomainError as error:
            messages.error(request, _EXPLANATIONS.get(error.code, error.detail))
        else:
            messages.success(request, _("Voided."))
        address = reverse("admin:promotions_redemption_change", args=[redemption.pk])
        return leave_dialog(request, address)


_EXPLANATIONS = {
    "already_voided": _("This redemption is already voided."),
    "void_too_late": _("A manager can void a redemption for seven days. Ask the operator to void this one."),
}


@admin.register(Void)
class VoidAdmin(FactAdmin):
    list_display = ["voided", "store", "reason", "note", "staff_device", "staff_member", "user"]
    list_filter = ["reason"]
    list_select_related = ["redemption__store", "staff_device", "staff_member", "user"]
    search_fields = ["note", "staff_device__label", "staff_member__initials"]
    fields = ["store", "reason", "note", "staff_device", "staff_member", "user", "voided"]

    @display(description="store", ordering="redemption__store__name")
    def store(self, void: Void) -> str:
        return str(void.redemption.store)

    @display(description="voided", ordering="voided_at")
    def voided(self, void: Void) -> str:
        return at_store(void.voided_at, void.redemption.store)
