"""Fences for the phone's operating system to watch."""

from typing import Any

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from geofence.services.surroundings import FENCE_ROLES, NearbyFences, nearby
from promotions.http.auth import DeviceAuthentication
from promotions.http.schema import operation
from promotions.http.serializers import CountField, NumberTextField, StrictSerializer, refuse_null_island
from promotions.http.views import ApiView

# iOS monitors 20 regions per app; one is for the circle in which this list is valid.
DEFAULT_FENCES = 19
MAX_FENCES = 99


class NearbyQuery(StrictSerializer):
    """The phone's position. Used for the answer, not stored."""

    latitude = NumberTextField(min_value=-90, max_value=90, help_text="Degrees north, WGS 84.")
    longitude = NumberTextField(min_value=-180, max_value=180, help_text="Degrees east, WGS 84.")
    limit = CountField(min_value=1, max_value=MAX_FENCES, default=DEFAULT_FENCES, help_text="Maximum number of fences.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """0, 0 is no position, as for fixes."""
        refuse_null_island(attrs)
        return attrs


class FenceAnswer(serializers.Serializer[Any]):
    """One fence as a circle. A polygon is returned as the circle around it."""

    geofence_id = serializers.UUIDField()
    store_id = serializers.UUIDField()
    store_name = serializers.CharField()
    role = serializers.ChoiceField(choices=FENCE_ROLES)
    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    radius_m = serializers.FloatField()
    dwell_s = serializers.IntegerField()
    version = serializers.IntegerField()
    distance_m = serializers.FloatField()


class ValidityAnswer(serializers.Serializer[Any]):
    """A circle in which all fences are listed. Watch it too, and request again when the phone leaves it."""

    latitude = serializers.FloatField()
    longitude = serializers.FloatField()
    radius_m = serializers.FloatField()


class NearbyAnswer(serializers.Serializer[Any]):
    """The nearest fences, nearest first."""

    fences = FenceAnswer(many=True)
    validity = ValidityAnswer()


class NearbyView(ApiView):
    """`/v1/geofences/nearby`"""

    authentication_classes = [DeviceAuthentication]
    query_serializers = {"GET": NearbyQuery}

    @operation(
        summary="List the fences to register with the phone's operating system", answers={200: NearbyAnswer, 304: None}
    )
    def get(self, request: Request) -> Response | HttpResponse:
        """Return the nearest fences. With `If-None-Match` the answer is 304 if the list has not changed."""
        found = nearby(
            latitude_deg=self.query["latitude"], longitude_deg=self.query["longitude"], limit=self.query["limit"]
        )
        headers = {"ETag": found.etag, "Cache-Control": "private, no-cache"}
        if _is_known(request, found.etag):
            unchanged = HttpResponse(status=304, headers=headers)
            # Django's default, of a body that is not there.
            del unchanged["Content-Type"]
            return unchanged
        return Response(_serialize_fences(found), headers=headers)


def _is_known(request: Request, etag: str) -> bool:
    given = [tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")]
    return etag in given or "*" in given


def _serialize_fences(found: NearbyFences) -> dict[str, Any]:
    return {
        "fences": [
            {
                "geofence_id": fence.geofence_id,
                "store_id": fence.store_id,
                "store_name": fence.store_name,
                "role": fence.role,
                "latitude": fence.latitude_deg,
                "longitude": fence.longitude_deg,
                "radius_m": fence.radius_m,
                "dwell_s": fence.dwell_s,
                "version": fence.version,
                "distance_m": fence.distance_m,
            }
            for fence in found.fences
        ],
        "validity": {
            "latitude": found.latitude_deg,
            "longitude": found.longitude_deg,
            "radius_m": found.validity_radius_m,
        },
    }
