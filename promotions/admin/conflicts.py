"""The desk: offline scans in conflict with another till or out of policy. Each is decided once."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from geofence.admin import at_store
from promotions import clock
from promotions.admin.base import FactAdmin, ScopedRelatedFilter, leave_dialog, tenancy_of
from promotions.logic.offline import Breach
from promotions.models import OfflineScan, WithdrawnCoupon
from promotions.services.accounts.tenancy import is_editable
from promotions.services.till.desk import decide_scan

Outcome, Decision = OfflineScan.Outcome, OfflineScan.Decision

OUTCOME_COLOURS = {Outcome.ACCEPTED: "success", Outcome.CONFLICT: "warning", Outcome.OUT_OF_POLICY: "danger"}
DECISION_COLOURS = {"to decide": "warning", Decision.HONOURED: "success", Decision.DECLINED: "default", "": "default"}

# The meaning of each reason, for the person who decides.
REASONS = {
    "already_redeemed": _("Another till had redeemed the coupon's last use."),
    "redeem_cap_reached": _("The cap of the campaign or the store was used up."),
    Breach.CODE_UNKNOWN: _("The QR is not ours, or it was altered."),
    Breach.COUPON_GONE: _("The QR is genuine; the customer has erased all data since."),
    Breach.IN_FUTURE: _("By the till's clock, the scan is later than its arrival here."),
    Breach.TOO_OLD: _("The till sent it more than three days later."),
    Breach.BEFORE_ENROLMENT: _("By the till's clock, the scan is earlier than the till's enrolment."),
    Breach.WRONG_STORE: _("The coupon is not valid in this store."),
    Breach.NOT_YET_VALID: _("The coupon was not valid yet when it was scanned."),
    Breach.COUPON_EXPIRED: _("The coupon had expired when it was scanned."),
    Breach.RECALLED: _("The coupon had been recalled when it was scanned."),
    Breach.NOT_OFFLINE: _("The campaign does not allow offline use."),
    Breach.ONLINE_ONLY: _("The coupon is worth more than a till may give away offline."),
    Breach.SCREENSHOT: _("The QR was displayed too long before: it may be a picture."),
    Breach.NEEDS_AMOUNT: _("The till did not send the amount that the customer paid."),
    Breach.ALLOWANCE_SPENT: _("The till had used up its offline allowance of twelve hours."),
}


class StandingFilter(admin.SimpleListFilter):
    """Show the scans to decide by default."""

    title = _("decision")
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[tuple[str, Any]]:
        """Return the choices besides the default."""
        return [("decided", _("Decided")), ("accepted", _("Accepted automatically")), ("all", _("All"))]

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": _("To decide")}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[OfflineScan]) -> QuerySet[OfflineScan]:
        if self.value() == "decided":
            return queryset.exclude(decision="")
        if self.value() == "accepted":
            return queryset.filter(outcome=Outcome.ACCEPTED)
        if self.value() == "all":
            return queryset
        return queryset.exclude(outcome=Outcome.ACCEPTED).filter(decision="")


@admin.register(OfflineScan)
class OfflineScanAdmin(FactAdmin):
    """Offline scans. A partner sees those of its stores, a brand those of its coupons; the brand decides."""

    list_display = [
        "received", "store", "staff_device", "benefit", "value", "outcome_label", "why", "decision_label",
    ]  # fmt: skip
    list_filter = [
        StandingFilter, "outcome", ("store", ScopedRelatedFilter), ("coupon__campaign__brand", ScopedRelatedFilter),
        ("received_at", admin.DateFieldListFilter),
    ]  # fmt: skip
    search_fields = ["staff_device__label", "coupon__benefit", "coupon__campaign__name", "reason"]
    id_search = ("coupon__id", "nonce")
    ordering = ["-received_at"]
    fieldsets = [
        (None, {"fields": ["verdict", "why", "decided"]}),
        ("What was given", {"fields": ["benefit", "campaign", "value", "amount"]}),
        ("Offline till", {"fields": [("own_store", "own_till"), "own_member"]}),
        ("When", {"fields": ["scanned", "clock_off", "corrected", "received", "waited"]}),
        ("First redemption", {"fields": ["first_store", "first_till", "first_at"]}),
    ]
    actions_detail = ["honour", "decline"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[OfflineScan]:
        rows: QuerySet[OfflineScan] = super().get_queryset(request)
        return rows.select_related(
            "store",
            "staff_device",
            "staff_member",
            "coupon__campaign__brand",
            "taken_before_by__store",
            "taken_before_by__staff_device",
            "decided_by",
        )

    @display(description="outcome", ordering="outcome", label=OUTCOME_COLOURS)
    def outcome_label(self, scan: OfflineScan) -> tuple[str, str]:
        return scan.outcome, scan.get_outcome_display().split(":")[0]

    @display(description="outcome")
    def verdict(self, scan: OfflineScan) -> str:
        return scan.get_outcome_display()

    @display(description="why", ordering="reason")
    def why(self, scan: OfflineScan) -> str:
        return str(REASONS.get(scan.reason, scan.reason)) or "—"

    @display(description="decision", ordering="decision", label=DECISION_COLOURS)
    def decision_label(self, scan: OfflineScan) -> tuple[str, str]:
        if scan.decision:
            return scan.decision, scan.decision
        return ("", "nothing to decide") if scan.outcome == Outcome.ACCEPTED else ("to decide", "to decide")

    @display(description="decided")
    def decided(self, scan: OfflineScan) -> str:
        if not scan.decision:
            return "nothing to decide" if scan.outcome == Outcome.ACCEPTED else "not yet"
        who = scan.decided_by or "a deleted user"
        return f"{at_store(scan.decided_at, scan.store)} by {who}: {scan.get_decision_display()}"

    @display(description="benefit", ordering="coupon__benefit")
    def benefit(self, scan: OfflineScan) -> str:
        return scan.coupon.benefit if scan.coupon else "unknown"

    @display(description="campaign")
    def campaign(self, scan: OfflineScan) -> str:
        return f"{scan.coupon.campaign} ({scan.coupon.campaign.brand})" if scan.coupon else "unknown"

    # Text without links: a brand may not see the tills of a partner.
    @display(description="store")
    def own_store(self, scan: OfflineScan) -> str:
        return str(scan.store)

    @display(description="till")
    def own_till(self, scan: OfflineScan) -> str:
        return str(scan.staff_device)

    @display(description="signed-in member")
    def own_member(self, scan: OfflineScan) -> str:
        return str(scan.staff_member or "—")

    @display(description="scanned (till's clock)", ordering="scanned_at")
    def scanned(self, scan: OfflineScan) -> str:
        return at_store(scan.scanned_at, scan.store)

    @display(description="till's clock")
    def clock_off(self, scan: OfflineScan) -> str:
        ahead = scan.scanned_at - scan.corrected_at
        if abs(ahead) < timedelta(seconds=1):
            return "correct"
        return f"{_format_span(abs(ahead))} {'ahead' if ahead > timedelta() else 'behind'}"

    @display(description="scanned (our clock)", ordering="corrected_at")
    def corrected(self, scan: OfflineScan) -> str:
        return at_store(scan.corrected_at, scan.store)

    @display(description="received", ordering="received_at")
    def received(self, scan: OfflineScan) -> str:
        return at_store(scan.received_at, scan.store)

    @display(description="sent in after")
    def waited(self, scan: OfflineScan) -> str:
        return _format_span(max(timedelta(), scan.received_at - scan.corrected_at))

    @display(description="store")
    def first_store(self, scan: OfflineScan) -> str:
        return str(scan.taken_before_by.store) if scan.taken_before_by else "—"

    @display(description="till")
    def first_till(self, scan: OfflineScan) -> str:
        first = scan.taken_before_by
        if first is None:
            return "—"
        # A partner does not see the tills of another partner.
        return str(first.staff_device) if first.store.partner_id == scan.store.partner_id else "of another partner"

    @display(description="taken")
    def first_at(self, scan: OfflineScan) -> str:
        first = scan.taken_before_by
        return at_store(first.redeemed_at, first.store) if first else "—"

    def has_decide_permission(self, request: HttpRequest, object_id: str) -> bool:
        """Allow it for undecided scans of the user's own brands."""
        if not request.user.has_perm("promotions.change_offlinescan"):
            return False
        scan = self.get_object(request, object_id)
        return (
            scan is not None
            and not scan.decision
            and scan.outcome != Outcome.ACCEPTED
            and is_editable(row=scan, tenancy=tenancy_of(request))
        )

    @action(
        description=_("Honour"),
        icon="check",
        variant=ActionVariant.SUCCESS,
        permissions=["decide"],
        dialog={
            "title": _("Pay the partner for it?"),
            "description": _("The till accepted the coupon in good faith. You cannot change the decision."),
            "form_class": None,
            "form_submit_text": _("Pay for it"),
        },
    )
    def honour(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, Decision.HONOURED)

    @action(
        description=_("Decline"),
        icon="close",
        variant=ActionVariant.DANGER,
        permissions=["decide"],
        dialog={
            "title": _("Leave the loss with the partner?"),
            "description": _("The partner is not paid for it. You cannot change the decision."),
            "form_class": None,
            "form_submit_text": _("Do not pay"),
        },
    )
    def decline(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, Decision.DECLINED)

    def _decide(self, request: HttpRequest, object_id: str, decision: OfflineScan.Decision) -> HttpResponse:
        assert isinstance(request.user, User)  # admin requires a login
        if decide_scan(scan_id=int(object_id), decision=decision, user=request.user, now=clock.now()):
            messages.success(request, f"Decided: {decision.label}.")
        else:
            messages.error(request, _("Another user has already decided it."))
        address = reverse("admin:promotions_offlinescan_change", args=[object_id])
        return leave_dialog(request, address)


@admin.register(WithdrawnCoupon)
class WithdrawnCouponAdmin(FactAdmin):
    """Erased coupons. Offline tills get their ids and refuse them until they would have expired."""

    list_display = ["coupon_id", "campaign", "valid_until"]
    list_filter = [("campaign", ScopedRelatedFilter)]
    list_select_related = ["campaign"]
    search_fields = ["campaign__name"]
    id_search = ("coupon_id",)
    ordering = ["valid_until", "coupon_id"]
    fields = ["coupon_id", "campaign", "valid_until"]


def _format_span(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{round(minutes / 60)} h" if minutes < 48 * 60 else f"{round(minutes / 1440)} days"
