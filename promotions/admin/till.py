"""What tills took, and what was taken back. Facts, save that a manager may take a redemption back."""

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from geofence.admin import at_store
from promotions import clock
from promotions.admin.base import FactAdmin, ScopedRelatedFilter, tenancy_of
from promotions.admin.till_signals import show_signals
from promotions.errors import DomainError
from promotions.models import Redemption, Void
from promotions.services.accounts.tenancy import is_editable
from promotions.services.till.voids import void_by_user


class TakeBackForm(BaseDialogForm):
    """Why."""

    reason = forms.ChoiceField(choices=Void.Reason.choices, widget=UnfoldAdminSelectWidget)
    note = forms.CharField(required=False, max_length=240, widget=UnfoldAdminTextInputWidget)


@admin.register(Redemption)
class RedemptionAdmin(FactAdmin):
    """Redemptions: a partner sees those of its stores, with the benefit and never the customer."""

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
        """With the page of signals."""
        view = self.admin_site.admin_view(self.signals_view)
        return [path("signals/", view, name="promotions_redemption_signals"), *super().get_urls()]

    def signals_view(self, request: HttpRequest) -> HttpResponse:
        """Which tills and members stand out."""
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
        """A live redemption in a store of one's own, for whoever may write voids."""
        if not request.user.has_perm("promotions.add_void"):
            return False
        redemption = self.get_object(request, object_id)
        return (
            redemption is not None and redemption.is_live and is_editable(row=redemption, tenancy=tenancy_of(request))
        )

    @action(
        description="Take back",
        icon="undo",
        variant=ActionVariant.DANGER,
        permissions=["take_back"],
        dialog={
            "title": "Take this redemption back?",
            "description": "The coupon can be redeemed again, and the caps have one use more.",
            "form_class": TakeBackForm,
            "form_submit_text": "Take it back",
        },
    )
    def take_back(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Takes it back, or says why not."""
        redemption = self.get_object(request, object_id)
        assert redemption is not None  # the permission found it
        assert isinstance(request.user, User)  # the admin lets nobody else in
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
            messages.success(request, "Taken back.")
        address = reverse("admin:promotions_redemption_change", args=[redemption.pk])
        # htmx follows a redirect without leaving the page, so it is told to go there; a plain form just is redirected.
        if request.headers.get("HX-Request"):
            return HttpResponse(headers={"HX-Redirect": address})
        return redirect(address)


_EXPLANATIONS = {
    "already_voided": "Somebody has taken it back already.",
    "void_too_late": "A manager can take a redemption back for seven days; ask the operator.",
}


@admin.register(Void)
class VoidAdmin(FactAdmin):
    """Redemptions taken back."""

    list_display = ["voided", "store", "reason", "note", "staff_device", "staff_member", "user"]
    list_filter = ["reason"]
    list_select_related = ["redemption__store", "staff_device", "staff_member", "user"]
    search_fields = ["note", "staff_device__label", "staff_member__initials"]
    fields = ["store", "reason", "note", "staff_device", "staff_member", "user", "voided"]

    @display(description="store", ordering="redemption__store__name")
    def store(self, void: Void) -> str:
        return str(void.redemption.store)

    @display(description="taken back", ordering="voided_at")
    def voided(self, void: Void) -> str:
        return at_store(void.voided_at, void.redemption.store)
