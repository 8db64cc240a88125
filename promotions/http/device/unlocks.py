"""Unlock an offer at the shop door, and the wallet of granted unlocks."""

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import segno
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from promotions import clock, limits, metrics, shedding, stream
from promotions.errors import DomainError
from promotions.http.address import read_network
from promotions.http.auth import DeviceAuthentication, requesting_device
from promotions.http.device.answers import ANY_UNLOCK, UnlocksField, coupon_of, serialize_unlock
from promotions.http.device.offers import serialize_store, serialize_stores
from promotions.http.device.plays import PlayField, list_inputs, read_play
from promotions.http.idempotency import idempotent_with_secrets
from promotions.http.lane.schema import EXAMPLE_FIX
from promotions.http.outcomes import counted
from promotions.http.pagination import Keyset, PageQuery
from promotions.http.schema import body_example, operation
from promotions.http.serializers import FlagField, InstantField, NumberField, StrictSerializer, TextField, read_body
from promotions.http.views import ApiView
from promotions.models import Unlock
from promotions.services.campaigns.offers import Position, StoreHint, find_stores_nearby
from promotions.services.presence.assurance import GivenFix
from promotions.services.unlocks.coupon_tokens import render_token
from promotions.services.unlocks.evaluation import UnlockAttempt, UnlockRefused
from promotions.services.unlocks.unlocks import unlock_offer, wallet

REFUSALS = (
    "rate_limited",
    "consent_required",
    "location_missing",
    "not_at_store",
    "fix_too_old",
    "fix_in_future",
    "accuracy_too_low",
    "mock_location",
    "level_too_low",
    "not_in_segment",
    "outside_window",
    "before_start",
    "after_end",
    "campaign_paused",
    "sold_out",
    "network_used_up",
    "kind_not_supported",
)
_MAX_PROOF_CHARS = 512
# Number of stores offered to a refused phone.
_MAX_STORES = 3
_MAX_ACCURACY_M = 1_000_000
_MAX_SPEED_MPS = 10_000
_QR_SCALE = 8


class FixInput(StrictSerializer):
    """The phone's current position, with the fields of `POST /v1/fixes`."""

    latitude = NumberField(min_value=-90, max_value=90, help_text="Degrees north, WGS 84.")
    longitude = NumberField(min_value=-180, max_value=180, help_text="Degrees east, WGS 84.")
    fix_time = InstantField(help_text="Time of the position.")
    horizontal_accuracy_m = NumberField(
        min_value=0,
        max_value=_MAX_ACCURACY_M,
        required=False,
        allow_null=True,
        help_text="Radius as reported, metres. Missing, null or 0 means unknown.",
    )
    speed_mps = NumberField(max_value=_MAX_SPEED_MPS, required=False, allow_null=True)
    mock = FlagField(required=False)
    fix_id = TextField(min_length=1, max_length=64, required=False, allow_null=True, trim_whitespace=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A receiver's first report, before it has a position, is not a position."""
        if attrs["latitude"] == 0 and attrs["longitude"] == 0:
            raise serializers.ValidationError("0, 0 is no position.", code="null_island")
        return attrs


class UnlockRequest(StrictSerializer):
    """A fresh fix; without one the request is refused. `proof` is the store's code, if the campaign requires it."""

    fix = FixInput(required=False, allow_null=True)
    proof = TextField(max_length=_MAX_PROOF_CHARS, required=False, allow_null=True, trim_whitespace=False)
    play = PlayField(required=False, help_text="What the campaign's kind asks for.")

    def get_fields(self) -> dict[str, Any]:
        """Leave `play` out while no kind asks for it."""
        fields = super().get_fields()
        if not list_inputs():
            del fields["play"]
        return fields


class UnlocksPage(serializers.Serializer[Any]):
    """A page of the device's unlocks, newest first."""

    unlocks = UnlocksField()
    next = serializers.CharField(allow_null=True, help_text="The `cursor` of the next page; null on the last page.")


def _restore_coupon(answer: Mapping[str, Any], requested_at: datetime) -> dict[str, Any]:
    """Restore the coupon of an earlier answer: its code and token are derived again, its state and QR are current."""
    unlock = Unlock.objects.select_related("campaign__brand", "store", "coupon").get(pk=answer["unlock_id"])
    return {"coupon": serialize_unlock(unlock, clock.now())["coupon"]}


class DoorView(ApiView):
    """Base of the calls of a device at the store; one rate limit counts all of them."""

    authentication_classes = [DeviceAuthentication]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Authenticate the device, then apply its limit. Errors: `rate_limited`, `busy`."""
        super().initial(request, *args, **kwargs)
        device_id = requesting_device(request).pk
        limits.UNLOCKS.require(str(device_id))
        shedding.require_room_for_unlocks(stream.shard_of(device_id))


AT_THE_DOOR = body_example(
    "A phone at a store in Paris",
    {"fix": dict(EXAMPLE_FIX)},
    about="Set `latitude` and `longitude` to the store's position and `fix_time` to the current time.",
)


class UnlockView(DoorView):
    """`/v1/offers/{campaign_id}/unlock`"""

    @operation(
        summary="Unlock the offer at the store",
        body=UnlockRequest,
        example=AT_THE_DOOR,
        answers={201: ANY_UNLOCK, 200: ANY_UNLOCK},
        problems=(*REFUSALS, "network_busy"),
    )
    @idempotent_with_secrets("coupon", reveal=_restore_coupon)
    @counted(metrics.UNLOCK, metrics.UNLOCK_SECONDS, {201: "granted", 200: "repeated"})
    def post(self, request: Request, campaign_id: UUID) -> Response:
        """Unlock the offer. 201: granted. 200: already granted. 403: refused, with `nearest_store` and `missing`."""
        given = read_body(UnlockRequest, request)
        attempt = UnlockAttempt(
            fix=read_fix(given.get("fix")),
            proof=given.get("proof"),
            play=read_play(campaign_id, given.get("play")) or {},
            network=read_network(request._request),
        )
        try:
            unlock, is_new = unlock_offer(
                device=requesting_device(request), campaign_uuid=campaign_id, attempt=attempt, now=self.now
            )
        except UnlockRefused as refused:
            name_stores(refused, campaign_id, given.get("fix"))
            raise
        return Response(serialize_unlock(unlock, self.now), status=201 if is_new else 200)


def name_stores(refused: UnlockRefused, campaign_id: UUID, fix: Mapping[str, Any] | None) -> None:
    """Send a refused phone to a store."""
    store = refused.nearest_store
    refused.fields["nearest_store"] = serialize_store(store) if store else None
    refused.fields["nearest_stores"] = serialize_stores(_choose_stores(campaign_id, store, fix))


def _choose_stores(campaign_id: UUID, nearest: StoreHint | None, fix: Mapping[str, Any] | None) -> list[StoreHint]:
    """The nearest store of the evaluation, and others nearby; none where no position was evaluated."""
    if nearest is None or fix is None:
        return []
    position = Position(fix["latitude"], fix["longitude"])
    nearby = find_stores_nearby(campaign_uuid=campaign_id, position=position, limit=_MAX_STORES)
    return [nearest, *(store for store in nearby if store.uuid != nearest.uuid)][:_MAX_STORES]


class UnlocksView(ApiView):
    """`/v1/unlocks`"""

    authentication_classes = [DeviceAuthentication]
    query_serializers = {"GET": PageQuery}

    @operation(summary="List the device's unlocks", answers={200: UnlocksPage}, operation_id="unlocks_list")
    def get(self, request: Request) -> Response:
        """Return all unlocks of this device, newest first."""
        keyset = Keyset(scope=f"unlocks:{requesting_device(request).pk}", instant_field="granted_at")
        page, following = keyset.page(wallet(requesting_device(request).pk), self.query)
        return Response({"unlocks": [serialize_unlock(unlock, self.now) for unlock in page], "next": following})


class OneUnlockView(ApiView):
    """`/v1/unlocks/{unlock_id}`"""

    authentication_classes = [DeviceAuthentication]

    @operation(summary="Get an unlock", answers={200: ANY_UNLOCK})
    def get(self, request: Request, unlock_id: UUID) -> Response:
        """Return one unlock of this device."""
        return Response(serialize_unlock(_find(request, unlock_id), self.now))


class AnyType(BaseContentNegotiation):
    """An image is sent for every `Accept` header; its problems are JSON as everywhere."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class QrView(ApiView):
    """`/v1/unlocks/{unlock_id}/qr.svg`"""

    authentication_classes = [DeviceAuthentication]
    content_negotiation_class = AnyType

    @operation(summary="Get the coupon's QR code", answers={(200, "image/svg+xml"): OpenApiTypes.STR})
    def get(self, request: Request, unlock_id: UUID) -> HttpResponse:
        """Return the QR code of an unlock's coupon. An unlock without a coupon has none."""
        coupon = coupon_of(_find(request, unlock_id))
        if coupon is None:
            raise DomainError("not_found")
        image = io.BytesIO()
        text = render_token(coupon=coupon, now=self.now).text
        segno.make_qr(text, error="m").save(image, kind="svg", scale=_QR_SCALE, border=4)
        headers = {"Cache-Control": "private, no-store", "Content-Security-Policy": "default-src 'none'"}
        return HttpResponse(image.getvalue(), content_type="image/svg+xml", headers=headers)


def _find(request: Request, unlock_id: UUID) -> Unlock:
    unlock: Unlock | None = wallet(requesting_device(request).pk).filter(pk=unlock_id).first()
    if unlock is None:
        raise DomainError("not_found")
    return unlock


def read_fix(given: dict[str, Any] | None) -> GivenFix | None:
    """The position out of a body."""
    if given is None:
        return None
    return GivenFix(
        latitude_deg=given["latitude"],
        longitude_deg=given["longitude"],
        # Phones without a position report a radius of 0.
        accuracy_m=given.get("horizontal_accuracy_m") or None,
        fix_time=given["fix_time"],
        is_mock=given.get("mock", False),
    )
