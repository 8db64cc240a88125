"""Offline use: the data that a till takes along, and the scans it reports afterwards.

No `Idempotency-Key`: a synchronisation writes what the next one overwrites, and each scan has its nonce.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import metrics
from promotions.http.schema import operation
from promotions.http.serializers import AmountField, IdField, InstantField, StrictSerializer, TextField, read_body
from promotions.http.staff.auth import StaffAuthentication, staff_device
from promotions.http.views import ApiView
from promotions.logic.coupon_tokens import MAX_TEXT_CHARS, STEP_S
from promotions.logic.offline import Allowance
from promotions.logic.training import PRACTICE_CODES
from promotions.models import Redemption
from promotions.services.till.offline_scans import LateScan, ScanEvaluation, ScanOutcome, evaluate_scans
from promotions.services.till.sync import TillSync, sync_till

MAX_SCANS = 100
# A scan that cannot be read: it is answered beside the others, and not kept.
MALFORMED = "malformed"
# A clock without battery begins in 1970; the upper limit is never reached. Differences of such times can be computed.
FIRST_TIME, LAST_TIME = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class TillTimeField(InstantField):
    """The time of a till's clock, however wrong."""

    default_error_messages = {"out_of_range": "Give an instant from 1970 to 2099."}

    def to_internal_value(self, value: Any) -> datetime:
        instant = super().to_internal_value(value)
        if not FIRST_TIME <= instant < LAST_TIME:
            self.fail("out_of_range")
        return instant


class SyncRequest(StrictSerializer):
    """The till's own time, from which the server derives the deviation of its clock."""

    device_time = TillTimeField(help_text="Current time of the staff device's clock.")


class KeyAnswer(serializers.Serializer[Any]):
    """The Ed25519 key that verifies signatures with its id."""

    id = serializers.IntegerField(min_value=0, max_value=255)
    public_key = serializers.CharField(help_text="32 bytes, base64url without padding.")


class OfflineOfferAnswer(serializers.Serializer[Any]):
    """An offer whose coupons this store's tills may redeem offline."""

    digest = serializers.CharField(help_text="Eight bytes, base64url without padding, as in the signed part of a QR.")
    benefit = serializers.CharField()
    offer_title = serializers.CharField()
    units = serializers.IntegerField()
    value = serializers.DecimalField(max_digits=7, decimal_places=2, help_text="Value of one use in the allowance.")
    asks_amount = serializers.BooleanField()


class AllowanceAnswer(serializers.Serializer[Any]):
    """The till's offline allowance within twelve hours, and the part that is left."""

    coupons = serializers.IntegerField()
    value = serializers.DecimalField(max_digits=12, decimal_places=2)
    coupons_left = serializers.IntegerField()
    value_left = serializers.DecimalField(max_digits=12, decimal_places=2)


class PracticeAnswer(serializers.Serializer[Any]):
    """A code for training. It never belongs to a coupon."""

    code = serializers.CharField()
    outcome = serializers.CharField()


class SyncAnswer(serializers.Serializer[Any]):
    """Data for offline use. It replaces the data of the previous sync."""

    server_time = serializers.DateTimeField()
    step_s = serializers.IntegerField(help_text="Length of a step of the QR code.")
    keys = KeyAnswer(many=True)
    offers = OfflineOfferAnswer(many=True)
    revoked = serializers.ListField(
        child=serializers.UUIDField(), help_text="Coupons that tills must refuse although their signature is valid."
    )
    allowance = AllowanceAnswer()
    training = PracticeAnswer(many=True)


class _Unreadable:
    """A value that is no scan; `nonce` when at least that could be read."""

    def __init__(self, given: Any) -> None:
        try:
            self.nonce: UUID | None = IdField().to_internal_value(given["nonce"])
        except (KeyError, TypeError, serializers.ValidationError):
            self.nonce = None


class _EachForItself(serializers.ListSerializer[Any]):
    """A list in which an invalid entry does not block the valid ones."""

    def to_internal_value(self, data: Any) -> list[Any]:
        """The entries; the list itself must be one, not empty and not too long."""
        if not isinstance(data, list):
            raise serializers.ValidationError("Give a list of scans.", code="wrong_type")
        if not 1 <= len(data) <= MAX_SCANS:
            raise serializers.ValidationError(f"Give 1 to {MAX_SCANS} scans.", code="wrong_length")
        return [self._read(entry) for entry in data]

    def _read(self, entry: Any) -> Any:
        try:
            return self.run_child_validation(entry)
        except serializers.ValidationError:
            return _Unreadable(entry)


class ScanInput(StrictSerializer):
    """One scan made offline, as the till stored it."""

    token = TextField(max_length=MAX_TEXT_CHARS, trim_whitespace=False, help_text="The text of the QR code.")
    nonce = IdField()
    scanned_at = TillTimeField(help_text="Time of the staff device's clock.")
    amount = AmountField(required=False, help_text="What the customer paid, in the store's currency.")

    class Meta:
        list_serializer_class = _EachForItself


class ScansRequest(StrictSerializer):
    """Waiting scans, oldest first, at most 100 per request."""

    scans = ScanInput(many=True, min_length=1, max_length=MAX_SCANS)  # type: ignore[call-arg]


class TakenBeforeAnswer(serializers.Serializer[Any]):
    """The redemption of the coupon's last unit."""

    redeemed_at = serializers.DateTimeField()
    store = serializers.DictField(child=serializers.CharField(), help_text="`name`")


class VerdictAnswer(serializers.Serializer[Any]):
    """The verdict on a scan. `replay`: the scan was accepted before."""

    nonce = serializers.UUIDField(allow_null=True, help_text="Null if it could not be read.")
    outcome = serializers.ChoiceField(choices=[(each.value, each.value) for each in ScanOutcome])
    reason = serializers.CharField(allow_blank=True, help_text="Reason of a conflict or a breach of policy.")
    redemption_id = serializers.UUIDField(allow_null=True)
    taken_before = TakenBeforeAnswer(allow_null=True)


class ScansAnswer(serializers.Serializer[Any]):
    """One verdict per scan, in the order of the request."""

    scans = VerdictAnswer(many=True)


class SyncView(ApiView):
    """`/v1/staff/sync`"""

    authentication_classes = [StaffAuthentication]

    @operation(
        summary="Get the data for offline use",
        body=SyncRequest,
        answers={200: SyncAnswer},
        problems=("profile_forbidden",),
    )
    def post(self, request: Request) -> Response:
        """Return keys, offers, revoked coupons and the allowance, for offline use."""
        given = read_body(SyncRequest, request)
        sync = sync_till(staff_device=staff_device(request), device_time=given["device_time"], now=self.now)
        return Response(SyncAnswer(_serialize_sync(sync, self.now)).data)


class ScansView(ApiView):
    """`/v1/staff/scans`"""

    authentication_classes = [StaffAuthentication]

    @operation(
        summary="Send scans made offline",
        body=ScansRequest,
        answers={200: ScansAnswer},
        problems=("profile_forbidden",),
    )
    def post(self, request: Request) -> Response:
        """Store scans made offline and return one verdict per scan. Repeats keep their verdicts."""
        given = read_body(ScansRequest, request)["scans"]
        scans = [LateScan(**each) for each in given if isinstance(each, Mapping)]
        evaluations = iter(evaluate_scans(staff_device=staff_device(request), scans=scans, now=self.now))
        answers = [
            _refuse(each) if isinstance(each, _Unreadable) else _serialize_evaluation(each["nonce"], next(evaluations))
            for each in given
        ]
        return Response(ScansAnswer({"scans": answers}).data)


def _serialize_sync(sync: TillSync, now: datetime) -> dict[str, Any]:
    return {
        "server_time": now,
        "step_s": STEP_S,
        "keys": [{"id": key.id, "public_key": key.public_key} for key in sync.keys],
        "offers": [
            {
                "digest": base64.urlsafe_b64encode(offer.digest).rstrip(b"=").decode("ascii"),
                "benefit": offer.terms.benefit,
                "offer_title": offer.title,
                "units": offer.terms.units,
                "value": offer.terms.value,
                "asks_amount": offer.terms.asks_amount,
            }
            for offer in sync.offers
        ],
        "revoked": sync.withdrawn,
        "allowance": _serialize_allowance(sync.allowance, sync.left),
        "training": [{"code": each.code, "outcome": each.outcome} for each in PRACTICE_CODES],
    }


def _serialize_allowance(whole: Allowance, left: Allowance) -> dict[str, Any]:
    return {
        "coupons": whole.coupons,
        "value": whole.value,
        "coupons_left": left.coupons,
        "value_left": left.value,
    }


def _serialize_evaluation(nonce: UUID, evaluation: ScanEvaluation) -> dict[str, Any]:
    before = evaluation.taken_before
    return {
        "nonce": nonce,
        "outcome": evaluation.outcome.value,
        "reason": evaluation.reason,
        "redemption_id": evaluation.redemption_id,
        "taken_before": _serialize_redemption(before) if before else None,
    }


def _serialize_redemption(redemption: Redemption) -> dict[str, Any]:
    return {"redeemed_at": redemption.redeemed_at, "store": {"name": redemption.store.name}}


def _refuse(unreadable: _Unreadable) -> dict[str, Any]:
    metrics.OFFLINE_SCAN.labels(ScanOutcome.OUT_OF_POLICY.value, MALFORMED).inc()
    return {
        "nonce": unreadable.nonce,
        "outcome": ScanOutcome.OUT_OF_POLICY.value,
        "reason": MALFORMED,
        "redemption_id": None,
        "taken_before": None,
    }
