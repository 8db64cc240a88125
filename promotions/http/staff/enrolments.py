"""Enrolment of a browser as a staff device of one store, and its own data.

No `Idempotency-Key` here: a kept answer would hold the access token in the clear. A lost answer costs a new QR.
"""

from typing import TYPE_CHECKING, Any

from rest_framework.request import Request
from rest_framework.response import Response

from promotions import limits
from promotions.http.address import read_address
from promotions.http.schema import operation
from promotions.http.serializers import read_body
from promotions.http.staff.auth import StaffAuthentication, staff_device
from promotions.http.staff.serializers import EnrolmentAnswer, EnrolmentRequest, StaffMe
from promotions.http.views import ApiView
from promotions.services.till.staff_devices import enrol_device
from promotions.services.till.staff_members import find_member, has_members

if TYPE_CHECKING:
    from geofence.models import Store


class EnrolmentsView(ApiView):
    """`/v1/staff/enrolments`"""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """First check whether this address may still try. Errors: `rate_limited`."""
        limits.ENROLMENTS.require(limits.address_key(read_address(request._request)))
        super().initial(request, *args, **kwargs)

    @operation(
        summary="Enrol a staff device",
        body=EnrolmentRequest,
        answers={201: EnrolmentAnswer},
        problems=("enrolment_invalid", "rate_limited"),
    )
    def post(self, request: Request) -> Response:
        """Exchange a one-time enrolment token for a staff device of its store."""
        given = read_body(EnrolmentRequest, request)
        device, access_token = enrol_device(token=given["token"], label=given.get("label", ""), now=self.now)
        body = {"staff_device_id": device.pk, "access_token": access_token, "store": _store(device.store)}
        return Response(EnrolmentAnswer(body).data, status=201)


class StaffMeView(ApiView):
    """`/v1/staff/me`"""

    authentication_classes = [StaffAuthentication]

    @operation(summary="Get the staff device", answers={200: StaffMe})
    def get(self, request: Request) -> Response:
        """Return the calling staff device, its store, and the signed-in member."""
        device = staff_device(request)
        body = {
            "staff_device_id": device.pk,
            "label": device.label,
            "profile": device.profile,
            "is_manager": device.is_manager,
            "enrolled_at": device.enrolled_at,
            "store": _store(device.store),
            "has_members": has_members(store_id=device.store_id),
            "staff_member": find_member(device=device, now=self.now),
        }
        return Response(StaffMe(body).data)


def _store(store: "Store") -> dict[str, Any]:
    return {"id": store.uuid, "name": store.name, "timezone": store.timezone}
