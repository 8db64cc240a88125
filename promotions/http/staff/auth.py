"""Authentication of a till: a random Bearer token whose digest is in PostgreSQL. Redis is not used."""

from typing import Any, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from promotions import clock
from promotions.database.acting import ActorKind, name_actor
from promotions.errors import DomainError
from promotions.http.auth import read_bearer
from promotions.models import StaffDevice
from promotions.services.till.staff_devices import recognise_device


class StaffAuthentication(BaseAuthentication):
    """`request.auth` becomes the `StaffDevice`; there is no user. Errors: `token_*`."""

    def authenticate(self, request: Request) -> tuple[None, StaffDevice]:
        """The staff device of a live token, or a 401 problem; never anonymous."""
        token = read_bearer(request)
        if not token:
            raise DomainError("token_missing")
        device = recognise_device(access_token=token, now=clock.now())
        name_actor(ActorKind(device.profile), device.pk)
        return None, device


def staff_device(request: Request) -> StaffDevice:
    """The staff device of the request."""
    return cast(StaffDevice, request.auth)


class StaffAuthenticationScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The security scheme in the OpenAPI description."""

    target_class = "promotions.http.staff.auth.StaffAuthentication"
    name = "staffToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """A Bearer token, as `POST /v1/staff/enrolments` issued it."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "The access token from `POST /v1/staff/enrolments`.",
        }
