"""Opportunities, unlocks, reservations, coupons and refusals: facts about single devices, for the operator only."""

from django.contrib import admin
from django.contrib.messages import ERROR
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from geofence.admin import at_store
from geofence.models import Store
from promotions import clock
from promotions.admin.base import FactAdmin, tenancy_of
from promotions.admin.reasons import asks_reason
from promotions.models import Coupon, Opportunity, Refusal, Reservation, Unlock
from promotions.services.unlocks.recalls import recall_coupons


@admin.register(Opportunity)
class OpportunityAdmin(FactAdmin):
    """Devices that passed every gate of a campaign, in both arms."""

    list_display = ["fix_at", "campaign", "store", "arm", "device_id"]
    list_filter = ["arm", "campaign", ("planned_at", admin.DateFieldListFilter)]
    list_select_related = ["campaign", "store"]
    search_fields = ["campaign__name", "store__name"]
    id_search = ("id", "device_id")
    ordering = ["-planned_at"]
    fields = [
        "id",
        "campaign",
        "device_id",
        "store",
        "arm",
        "fix_at",
        "planned",
        "local_on",
        "request_id",
        "visited_within_minutes",
        "message_state",
        "message_reason",
    ]

    @display(description="fix", ordering="fix_time")
    def fix_at(self, opportunity: Opportunity) -> str:
        return at_store(opportunity.fix_time, opportunity.store)

    @display(description="planned", ordering="planned_at")
    def planned(self, opportunity: Opportunity) -> str:
        return at_store(opportunity.planned_at, opportunity.store)


@admin.register(Unlock)
class UnlockAdmin(FactAdmin):
    """Granted offers."""

    list_display = ["granted", "campaign", "store", "outcome", "level", "device_id"]
    list_filter = ["outcome", "level", "campaign", ("granted_at", admin.DateFieldListFilter)]
    list_select_related = ["campaign", "store"]
    search_fields = ["campaign__name", "store__name"]
    id_search = ("id", "device_id")
    ordering = ["-granted_at"]
    fields = ["id", "campaign", "device_id", "store", "outcome", "level", "granted"]

    @display(description="granted", ordering="granted_at")
    def granted(self, unlock: Unlock) -> str:
        return at_store(unlock.granted_at, unlock.store)


@admin.register(Reservation)
class ReservationAdmin(FactAdmin):
    """Units of a cap reserved for devices on their way."""

    list_display = ["until", "campaign", "store", "since", "device_id"]
    list_filter = ["campaign", ("expires_at", admin.DateFieldListFilter)]
    list_select_related = ["campaign", "store"]
    search_fields = ["campaign__name", "store__name"]
    id_search = ("device_id",)
    ordering = ["-expires_at"]
    fields = ["campaign", "device_id", "store", "since", "until"]

    @display(description="reserved until", ordering="expires_at")
    def until(self, reservation: Reservation) -> str:
        return at_store(reservation.expires_at, reservation.store)

    @display(description="reserved since", ordering="reserved_at")
    def since(self, reservation: Reservation) -> str:
        return at_store(reservation.reserved_at, reservation.store)


@admin.register(Coupon)
class CouponAdmin(FactAdmin):
    """Issued coupons. Codes are not shown: only their digests are stored."""

    list_display = ["benefit", "campaign", "source", "store", "until", "recalled"]
    list_filter = ["source", "campaign", ("recalled_at", admin.EmptyFieldListFilter)]
    list_select_related = ["campaign", "unlock__store"]
    search_fields = ["benefit", "campaign__name"]
    id_search = ("id", "unlock_id", "device_id")
    ordering = ["-valid_from"]
    fields = [
        "id",
        "campaign",
        "device_id",
        "source",
        "benefit",
        "terms",
        "store",
        "since",
        "until",
        "redeem_hours",
        "recalled",
        "generation",
    ]
    actions = ["recall"]

    @display(description="unlocked at", ordering="unlock__store__name")
    def store(self, coupon: Coupon) -> Store | None:
        return coupon.unlock.store if coupon.unlock else None

    @display(description="valid from", ordering="valid_from")
    def since(self, coupon: Coupon) -> str:
        return at_store(coupon.valid_from, self.store(coupon))

    @display(description="valid until", ordering="valid_until")
    def until(self, coupon: Coupon) -> str:
        return at_store(coupon.valid_until, self.store(coupon))

    @display(description="recalled", ordering="recalled_at")
    def recalled(self, coupon: Coupon) -> str | None:
        return at_store(coupon.recalled_at, self.store(coupon)) if coupon.recalled_at else None

    def has_recall_permission(self, request: HttpRequest) -> bool:
        return tenancy_of(request).is_operator

    @action(description=_("Recall: tills refuse them from now on"), permissions=["recall"])
    def recall(self, request: HttpRequest, queryset: QuerySet[Coupon]) -> HttpResponse | None:
        """Recall the selected coupons permanently. “All of the table” is rejected as a likely mistake."""
        if request.POST.get("select_across") == "1":
            self.message_user(request, "Select single coupons, or recall all coupons of a campaign on its page.", ERROR)
            return None
        return self._recall_selected(request, queryset)

    @asks_reason(_("They were issued by mistake."), _("They were abused."), _("The customer asked for it."))
    def _recall_selected(self, request: HttpRequest, queryset: QuerySet[Coupon]) -> None:
        count = recall_coupons(coupons=queryset, now=clock.now())
        self.message_user(request, f"{count} recalled.")


@admin.register(Refusal)
class RefusalAdmin(FactAdmin):
    """Refused requests and their reasons."""

    list_display = ["refused", "stage", "reason", "campaign", "store", "distance_bucket"]
    list_filter = ["stage", "reason", "campaign", ("refused_at", admin.DateFieldListFilter)]
    list_select_related = ["campaign", "store"]
    search_fields = ["reason", "campaign__name", "store__name"]
    id_search = ("device_id", "coupon__id")
    ordering = ["-refused_at"]
    fields = [
        "stage",
        "reason",
        "campaign",
        "device_id",
        "store",
        "staff_device",
        "distance_bucket",
        "level",
        "refused",
        "was_inside",
        "arrived_within_minutes",
    ]

    @display(description="refused", ordering="refused_at")
    def refused(self, refusal: Refusal) -> str:
        return at_store(refusal.refused_at, refusal.store)
