"""Taking coupons at the till and taking that back. A scan's nonce does what an `Idempotency-Key` does elsewhere."""

from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from promotions import metrics
from promotions.http.idempotency import idempotent
from promotions.http.outcomes import counted
from promotions.http.pagination import Keyset, PageQuery
from promotions.http.schema import body_example, operation
from promotions.http.serializers import CountField, read_body
from promotions.http.staff.auth import StaffAuthentication, staff_device
from promotions.http.staff.serializers import (
    RedemptionAnswer,
    RedemptionPage,
    RedemptionRequest,
    VoidAnswer,
    VoidRequest,
)
from promotions.http.views import ApiView
from promotions.models import Redemption, StaffDevice
from promotions.services.mechanics import mechanic_of
from promotions.services.till.redemptions import Taken, redeem_coupon
from promotions.services.till.scans import Scan
from promotions.services.till.staff_members import find_member, require_till
from promotions.services.till.voids import void_redemption, voidable_until

RECENT = 20
REFUSALS = (
    "training_code",
    "code_malformed",
    "profile_forbidden",
    "nonce_mismatch",
    "already_voided",
    "pin_required",
    "rate_limited",
    "scanned_at_implausible",
    "code_unknown",
    "already_redeemed",
    "recalled",
    "coupon_expired",
    "not_yet_valid",
    "wrong_store",
    "outside_hours",
    "screenshot",
    "presence_required",
    "needs_amount",
    "redeem_cap_reached",
)


class RecentQuery(PageQuery):
    """The last scans, as many as fit a till's screen."""

    limit = CountField(min_value=1, max_value=RECENT, default=RECENT, help_text="Entries per page.")


_EXAMPLE = body_example(
    "A dry run with a code typed by hand",
    {
        "code": "0123-4567-890",
        "nonce": "0d0b9107-7c3f-4e0a-9d3b-1f2e3d4c5b6a",
        "scanned_at": "2026-09-22T10:30:00Z",
        "dry_run": True,
    },
    about="Set `code` to the customer's code and `scanned_at` to the current time. For a QR, send `token` instead.",
)


class RedemptionsView(ApiView):
    """`/v1/staff/redemptions`"""

    authentication_classes = [StaffAuthentication]
    query_serializers = {"GET": RecentQuery}

    @operation(
        summary="Redeem a coupon",
        body=RedemptionRequest,
        example=_EXAMPLE,
        answers={201: RedemptionAnswer, 200: RedemptionAnswer},
        problems=REFUSALS,
    )
    @counted(metrics.REDEEM, metrics.REDEEM_SECONDS, {201: "taken", 200: "repeated"})
    def post(self, request: Request) -> Response:
        """Redeem a coupon. 201: hand out the benefit. 200: a repeat of that answer, or a dry run."""
        given = read_body(RedemptionRequest, request)
        device, is_dry_run = staff_device(request), given["dry_run"]
        typed_or_scanned = Redemption.Source.TYPED if "code" in given else Redemption.Source.CAMERA
        scan = Scan(
            nonce=given["nonce"],
            scanned_at=given["scanned_at"],
            source=Redemption.Source(given.get("source", typed_or_scanned)),
            code=given.get("code", ""),
            token=given.get("token", ""),
            amount=given.get("amount"),
            is_vouched=given["vouch"],
        )
        taken = redeem_coupon(staff_device=device, scan=scan, is_dry_run=is_dry_run, now=self.now)
        body = _answer(Voidance(device, self.now), taken, is_dry_run)
        return Response(RedemptionAnswer(body).data, status=200 if taken.is_replay or is_dry_run else 201)

    @operation(
        summary="List the last redemptions",
        answers={200: RedemptionPage},
        problems=("profile_forbidden",),
        operation_id="staff_redemptions_list",
    )
    def get(self, request: Request) -> Response:
        """Return the last redemptions of this staff device, newest first."""
        device = staff_device(request)
        require_till(device)
        voidance = Voidance(device, self.now)
        rows = Redemption.objects.filter(staff_device=device).select_related("coupon", "staff_member", "void")
        keyset = Keyset(scope=f"redemptions:{device.pk}", instant_field="redeemed_at")
        page, following = keyset.page(rows, self.query)
        body = {"redemptions": [_recent(voidance, row) for row in page], "next": following}
        return Response(RedemptionPage(body).data)


class VoidView(ApiView):
    """`/v1/staff/redemptions/{redemption_id}/void`"""

    authentication_classes = [StaffAuthentication]

    @operation(
        summary="Void a redemption",
        body=VoidRequest,
        answers={201: VoidAnswer},
        problems=("profile_forbidden", "pin_required", "forbidden", "already_voided", "void_too_late"),
    )
    @idempotent
    def post(self, request: Request, redemption_id: UUID) -> Response:
        """Void a redemption: within 15 minutes on its device, within 7 days by a manager or on a manager's device."""
        given = read_body(VoidRequest, request)
        void = void_redemption(
            staff_device=staff_device(request),
            redemption_id=redemption_id,
            reason=given["reason"],
            note=given["note"],
            now=self.now,
        )
        body = {
            "redemption_id": redemption_id,
            "reason": void.reason,
            "note": void.note,
            "voided_at": void.voided_at,
        }
        return Response(VoidAnswer(body).data, status=201)


class Voidance:
    """Latest time at which the member signed in now may take a redemption back."""

    def __init__(self, device: StaffDevice, now: datetime) -> None:
        self._device = device
        member = find_member(device=device, now=now)
        self._is_manager = device.is_manager or (member is not None and member.is_manager)

    def until(self, redemption: Redemption) -> datetime:
        """The last instant of it."""
        return voidable_until(staff_device=self._device, redemption=redemption, is_manager=self._is_manager)


def _answer(voidance: Voidance, taken: Taken, is_dry_run: bool) -> dict[str, Any]:
    coupon, redemption = taken.coupon, taken.redemption
    return {
        "id": redemption.pk if redemption else None,
        "benefit": coupon.benefit,
        "offer_title": coupon.campaign.offer_title,
        "campaign": {"id": coupon.campaign.uuid, "name": coupon.campaign.name},
        "valid_until": coupon.valid_until,
        "redeemed_at": redemption.redeemed_at if redemption else None,
        "voidable_until": voidance.until(redemption) if redemption else None,
        "unit": taken.unit,
        "units": coupon.units,
        "units_left": taken.units_left,
        "note": mechanic_of(coupon.campaign).note_for_staff(coupon),
        "replay": taken.is_replay,
        "dry_run": is_dry_run,
    }


def _recent(voidance: Voidance, redemption: Redemption) -> dict[str, Any]:
    return {
        "id": redemption.pk,
        "benefit": redemption.coupon.benefit,
        "unit": redemption.unit,
        "units": redemption.coupon.units,
        "amount": redemption.amount,
        "initials": redemption.staff_member.initials if redemption.staff_member else None,
        "redeemed_at": redemption.redeemed_at,
        "voidable_until": voidance.until(redemption),
        "voided_at": None if redemption.is_live else redemption.void.voided_at,
    }
