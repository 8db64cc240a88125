"""Authentication of the device behind a Bearer access token. PostgreSQL decides on every credential."""

from typing import Any, cast

from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from promotions import clock
from promotions.database.acting import ActorKind, name_actor
from promotions.errors import DomainError
from promotions.models import Device
from promotions.tokens import DeviceClaims, TokenError, epoch_ms, read_access_token

_MAX_HEADER_CHARS = 4096


def read_bearer(request: Request | HttpRequest) -> str | None:
    """The token of an `Authorization: Bearer` header, or None when there is no such header."""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    scheme, _, token = header[:_MAX_HEADER_CHARS].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class DeviceAuthentication(BaseAuthentication):
    """`request.user` becomes the `Device`, `request.auth` its claims. Errors: `token_*`."""

    def authenticate(self, request: Request) -> tuple[Device, DeviceClaims]:
        """The device of a genuine, live token, or a 401 problem; never anonymous."""
        try:
            claims = read_access_token(read_bearer(request), now=clock.now())
        except TokenError as error:
            raise DomainError(error.code, error.detail) from error
        device = Device.objects.filter(pk=claims.device_id).first()
        if device is None or device.is_blocked or _is_outdated(claims, device):
            raise DomainError("token_revoked")
        name_actor(ActorKind.DEVICE, device.pk)
        return device, claims


def _is_outdated(claims: DeviceClaims, device: Device) -> bool:
    if device.tokens_not_before is None:
        return False
    return claims.issued_at_ms < epoch_ms(device.tokens_not_before)


def requesting_device(request: Request) -> Device:
    """The device behind a request that `DeviceAuthentication` let in."""
    return cast(Device, request.user)


class DeviceAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The security scheme in the OpenAPI description."""

    target_class = "promotions.http.auth.DeviceAuthentication"
    name = "deviceToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """A Bearer token, as `POST /v1/devices` issued it."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "The access token from `POST /v1/devices`.",
        }
