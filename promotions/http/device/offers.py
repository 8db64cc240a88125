"""Content for the app: campaigns near or for the device."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from promotions.http.auth import DeviceAuthentication, requesting_device
from promotions.http.schema import operation
from promotions.http.serializers import (
    CountField,
    KindField,
    NumberTextField,
    OutcomeField,
    StrictSerializer,
    refuse_null_island,
)
from promotions.http.views import ApiView
from promotions.logic.distance import DistanceBucket
from promotions.services.campaigns.offers import Offer, Position, StoreHint, list_offers
from promotions.services.unlocks.reservations import find_gave_way

DEFAULT_LIMIT = 50
MAX_LIMIT = 100
_BUCKETS = [bucket.value for bucket in DistanceBucket]


class OffersQuery(StrictSerializer):
    """The position of the phone or its map: both coordinates or none. Used for the answer, not stored."""

    latitude = NumberTextField(min_value=-90, max_value=90, required=False, help_text="Degrees north, WGS 84.")
    longitude = NumberTextField(min_value=-180, max_value=180, required=False, help_text="Degrees east, WGS 84.")
    limit = CountField(min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="Maximum number of offers.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Half a position is none."""
        missing = {"latitude", "longitude"} - set(attrs)
        if len(missing) == 1:
            raise serializers.ValidationError(
                {name: ErrorDetail("Give both or none.", code="missing_field") for name in missing}
            )
        refuse_null_island(attrs)
        return attrs


class NearestStoreAnswer(serializers.Serializer[Any]):
    """The nearest participating store. Distances are null if no position was given."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    distance_m = serializers.IntegerField(allow_null=True)
    distance_bucket = serializers.ChoiceField(choices=_BUCKETS, allow_null=True)
    walking_minutes = serializers.IntegerField(
        allow_null=True, help_text="Walking time by street, derived from `distance_m`; null beyond 5 km."
    )


class OpeningAnswer(serializers.Serializer[Any]):
    """A span of time, its end not included."""

    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class WindowAnswer(serializers.Serializer[Any]):
    """Times when the offer can be unlocked at that store: `current` if it is open now, and the next one."""

    timezone = serializers.CharField()
    current = OpeningAnswer(allow_null=True)
    next = OpeningAnswer(allow_null=True)


class OfferAnswer(serializers.Serializer[Any]):
    """One campaign as this device sees it."""

    campaign_id = serializers.UUIDField()
    kind = KindField()
    brand = serializers.CharField()
    title = serializers.CharField()
    benefit = serializers.CharField()
    terms = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(choices=["locked", "unlocked", "redeemed"])
    unlock_id = serializers.UUIDField(allow_null=True)
    outcome = OutcomeField(allow_null=True)
    is_sold_out = serializers.BooleanField()
    reserved_until = serializers.DateTimeField(allow_null=True, help_text="End of this device's reservation.")
    reservation_gave_way_at = serializers.DateTimeField(
        allow_null=True,
        help_text="Time at which this device's reservation gave way to a device at the store; null if it did not.",
    )
    unlock_level = serializers.IntegerField(help_text="Required presence level, 0 to 4.")
    starts_on = serializers.DateField()
    ends_on = serializers.DateField()
    window = WindowAnswer()
    nearest_store = NearestStoreAnswer()


class OffersAnswer(serializers.Serializer[Any]):
    """Offers, nearest first."""

    offers = OfferAnswer(many=True)


class OffersView(ApiView):
    """`/v1/offers`"""

    authentication_classes = [DeviceAuthentication]
    query_serializers = {"GET": OffersQuery}

    @operation(summary="List offers near or for this device", answers={200: OffersAnswer})
    def get(self, request: Request) -> Response:
        """Return live campaigns near the position, and those already unlocked. Both arms get the same list."""
        position = None
        if "latitude" in self.query:
            position = Position(self.query["latitude"], self.query["longitude"])
        device = requesting_device(request)
        offers = list_offers(device=device, position=position, limit=self.query["limit"], now=self.now)
        gave_way = find_gave_way(
            device_id=device.pk, campaign_ids=[offer.campaign.pk for offer in offers], now=self.now
        )
        return Response({"offers": [_serialize_offer(offer, gave_way.get(offer.campaign.pk)) for offer in offers]})


def _serialize_offer(offer: Offer, gave_way_at: datetime | None) -> dict[str, Any]:
    campaign = offer.campaign
    return {
        "campaign_id": campaign.uuid,
        "kind": campaign.kind,
        "brand": campaign.brand.name,
        "title": campaign.offer_title,
        "benefit": campaign.benefit,
        "terms": campaign.terms,
        "state": offer.state,
        "unlock_id": offer.unlock.pk if offer.unlock else None,
        "outcome": offer.unlock.outcome if offer.unlock else None,
        "is_sold_out": offer.is_sold_out,
        "reserved_until": offer.reserved_until,
        # A newer reservation replaces the lost one; an unlock makes it irrelevant.
        "reservation_gave_way_at": None if offer.reserved_until or offer.unlock else gave_way_at,
        "unlock_level": campaign.unlock_level,
        "starts_on": campaign.starts_on,
        "ends_on": campaign.ends_on,
        "window": {
            "timezone": offer.store.timezone,
            "current": _serialize_opening(offer.current),
            "next": _serialize_opening(offer.following),
        },
        "nearest_store": serialize_store(offer.store),
    }


def _serialize_opening(opening: Any) -> dict[str, Any] | None:
    return {"starts_at": opening.starts_at, "ends_at": opening.ends_at} if opening else None


def serialize_stores(stores: Iterable[StoreHint]) -> list[dict[str, Any]]:
    """Stores to choose from, each with its way as a step and in minutes at most."""
    shown = ("id", "name", "latitude", "longitude", "distance_bucket")
    return [
        {
            **{name: value for name, value in serialize_store(store).items() if name in shown},
            "walking_minutes": store.most_walking_minutes,
        }
        for store in stores
    ]


def serialize_store(store: StoreHint) -> dict[str, Any]:
    """A store as every answer describes the nearest one."""
    return {
        "id": store.uuid,
        "name": store.name,
        "latitude": store.latitude_deg,
        "longitude": store.longitude_deg,
        "distance_m": None if store.distance_m is None else round(store.distance_m),
        "distance_bucket": store.bucket,
        "walking_minutes": store.walking_minutes,
    }
