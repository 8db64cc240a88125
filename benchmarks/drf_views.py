"""Baselines: the fix lane as one would write it with Django REST framework, and the least a view with a query costs.

Not part of the product. Serve it with `DJANGO_SETTINGS_MODULE=benchmarks.drf_settings`.
"""

from typing import Any

from django.core.asgi import get_asgi_application

application = get_asgi_application()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework import serializers  # noqa: E402
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from geofence.logic.fixes import FixSource  # noqa: E402
from promotions import clock, stream  # noqa: E402
from promotions.database.roles import Role, assume_role  # noqa: E402
from promotions.http.auth import read_bearer  # noqa: E402
from promotions.http.lane.fixes import Arrival, FixLimits, NormalisedFix, pack_fixes  # noqa: E402
from promotions.tokens import read_access_token  # noqa: E402

# The product's pools, so that both sides have the same connections.
assume_role(Role.WEB)


class FixSerializer(serializers.Serializer[Any]):
    """One fix, with the rules of `POST /v1/fixes`."""

    latitude = serializers.FloatField(min_value=-90, max_value=90)
    longitude = serializers.FloatField(min_value=-180, max_value=180)
    fix_time = serializers.DateTimeField()
    horizontal_accuracy_m = serializers.FloatField(required=False, allow_null=True)
    speed_mps = serializers.FloatField(required=False, allow_null=True)
    mock = serializers.BooleanField(required=False)
    fix_id = serializers.CharField(min_length=1, max_length=64, required=False, allow_null=True)


class FixesSerializer(serializers.Serializer[Any]):
    """The body of `POST /v1/fixes`."""

    fixes = serializers.ListField(child=FixSerializer(), min_length=1, max_length=100)


class FixesView(APIView):
    """Check the token and the body, append one entry, answer 202."""

    def post(self, request: Request) -> Response:
        """The same acknowledgement as the lane's: after Redis has the fixes."""
        now = clock.now()
        claims = read_access_token(read_bearer(request), now=now)
        given = FixesSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        limits = FixLimits(max_age_ms=settings.FIX_MAX_AGE_S * 1000, max_future_ms=settings.FIX_MAX_FUTURE_S * 1000)
        arrival = Arrival(claims.device_id, round(now.timestamp() * 1000), 1, FixSource.API, limits)
        packed = pack_fixes([_normalise(fix) for fix in given.validated_data["fixes"]], arrival)
        key = stream.stream_key(stream.shard_of(claims.device_id))
        stream.sync_client().xadd(key, {stream.ENTRY_FIELD: packed.payload})
        return Response({"accepted": packed.accepted, "rejected": []}, status=202)


def _normalise(fix: dict[str, Any]) -> NormalisedFix:
    return NormalisedFix(
        latitude_deg=fix["latitude"],
        longitude_deg=fix["longitude"],
        fix_time_ms=round(fix["fix_time"].timestamp() * 1000),
        accuracy_m=fix.get("horizontal_accuracy_m") or float("nan"),
    )


class SelectView(APIView):
    """One query and one small answer."""

    def post(self, request: Request) -> Response:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            (one,) = cursor.fetchone()
        return Response({"one": one})


urlpatterns = [path("v1/fixes", FixesView.as_view()), path("select", SelectView.as_view())]
