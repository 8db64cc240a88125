"""“Keep my turn”: a device on its way sets a unit of the cap aside for a while, or gives it up."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import limits, metrics
from promotions.http.address import read_network
from promotions.http.auth import DeviceAuthentication, requesting_device
from promotions.http.device.unlocks import FixInput, read_fix
from promotions.http.idempotency import idempotent
from promotions.http.outcomes import counted
from promotions.http.schema import operation
from promotions.http.serializers import IdField, StrictSerializer, read_body
from promotions.http.views import ApiView
from promotions.models import Reservation
from promotions.services.unlocks.reservations import TurnRequest, release_turn, reserve_turn

REFUSALS = (
    "rate_limited",
    "consent_required",
    "already_unlocked",
    "not_in_segment",
    "too_many_reservations",
    "location_missing",
    "out_of_reach",
    "fix_too_old",
    "fix_in_future",
    "accuracy_too_low",
    "mock_location",
    "level_too_low",
    "reservations_full",
    "network_busy",
    "network_used_up",
    "sold_out",
    "outside_window",
    "before_start",
    "after_end",
    "campaign_paused",
    "kind_not_supported",
)


class ReservationRequest(StrictSerializer):
    """A fresh fix within reach of a store, unless the offer was refused with `not_at_store` just before.

    `store_id`: the store the person is on the way to. Without it, the nearest store is used, or that of the refusal.
    """

    store_id = IdField(required=False, allow_null=True)
    fix = FixInput(required=False, allow_null=True)


class ReservedStore(serializers.Serializer[Any]):
    """A store."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()


class ReservationBody(serializers.Serializer[Any]):
    """A reservation: until `expires_at` no other device can reserve the unit. Presence is still required.

    It may give way: when no other unit is left, a device at the store gets the unit. Then `GET /v1/offers` has
    `reservation_gave_way_at`.
    """

    campaign_id = serializers.UUIDField()
    reserved_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(
        help_text="The instant from which another device may take the reserved unit."
    )
    store = ReservedStore(allow_null=True, help_text="The store where the device is expected; null if unknown.")


class ReservationAnswer(serializers.Serializer[Any]):
    """The device's reservation in a campaign."""

    reservation = ReservationBody()


class ReservationView(ApiView):
    """`/v1/offers/{campaign_id}/reservation`"""

    authentication_classes = [DeviceAuthentication]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate the device, then apply its limit; the call counts as a request for the offer. Errors:
        `rate_limited`."""
        super().initial(request, *args, **kwargs)
        limits.UNLOCKS.require(str(requesting_device(request).pk))

    @operation(
        summary="Reserve the offer (“keep my turn”)",
        body=ReservationRequest,
        answers={201: ReservationAnswer, 200: ReservationAnswer},
        problems=REFUSALS,
    )
    @idempotent
    @counted(metrics.RESERVE, metrics.RESERVE_SECONDS, {201: "kept", 200: "repeated"})
    def post(self, request: Request, campaign_id: UUID) -> Response:
        """Reserve the offer. 201: reserved. 200: already reserved, not extended. Works without a cap too."""
        given = read_body(ReservationRequest, request)
        turn = TurnRequest(
            device=requesting_device(request),
            campaign_uuid=campaign_id,
            store_uuid=given.get("store_id"),
            fix=read_fix(given.get("fix")),
            network=read_network(request._request),
        )
        reservation, is_new = reserve_turn(turn, now=self.now)
        return Response({"reservation": _serialize_reservation(reservation)}, status=201 if is_new else 200)

    @operation(summary="Release the reservation", answers={204: None}, problems=("rate_limited",))
    def delete(self, request: Request, campaign_id: UUID) -> Response:
        """Release the reservation. Others can use it at once. Succeeds even if there is no reservation."""
        release_turn(device_id=requesting_device(request).pk, campaign_uuid=campaign_id)
        return Response(status=204)


def _serialize_reservation(reservation: Reservation) -> dict[str, Any]:
    store = reservation.store
    return {
        "campaign_id": reservation.campaign.uuid,
        "reserved_at": reservation.reserved_at,
        "expires_at": reservation.expires_at,
        "store": None
        if store is None
        else {
            "id": store.uuid,
            "name": store.name,
            "latitude": store.latitude_deg,
            "longitude": store.longitude_deg,
        },
    }
