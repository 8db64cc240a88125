"""Sessions at a till: a member of the store's staff signs in with initials and a PIN, and out again.

No `Idempotency-Key`: signing in twice is signing in, and a kept answer would outlive a new PIN.
"""

from rest_framework.request import Request
from rest_framework.response import Response

from promotions.http.schema import operation
from promotions.http.serializers import read_body
from promotions.http.staff.auth import StaffAuthentication, staff_device
from promotions.http.staff.serializers import SessionAnswer, SessionRequest
from promotions.http.views import ApiView
from promotions.services.till.staff_members import sign_in, sign_out


class SessionsView(ApiView):
    """`/v1/staff/sessions`"""

    authentication_classes = [StaffAuthentication]

    @operation(
        summary="Sign in at the till",
        body=SessionRequest,
        answers={201: SessionAnswer},
        problems=("profile_forbidden", "pin_wrong", "pin_locked"),
    )
    def post(self, request: Request) -> Response:
        """Sign in a member of the store. Five wrong PINs lock the member until a manager sets a new PIN."""
        given = read_body(SessionRequest, request)
        member = sign_in(staff_device=staff_device(request), initials=given["initials"], pin=given["pin"], now=self.now)
        return Response(SessionAnswer({"staff_member": member}).data, status=201)

    @operation(summary="Sign out at the till", answers={204: None}, problems=("profile_forbidden",))
    def delete(self, request: Request) -> Response:
        """Sign out at this device. Can be repeated."""
        sign_out(staff_device=staff_device(request))
        return Response(status=204)
