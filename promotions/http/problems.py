"""Map errors to RFC 9457 problem details. `CATALOGUE` and docs/problems.md list every code a client can receive."""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from promotions import outages
from promotions.errors import DomainError, Fault, InvalidInput

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """Status, title and advice of a problem code."""

    status: int
    title: str
    advice: str


CATALOGUE: Mapping[str, ProblemKind] = {
    # The request itself
    "invalid_input": ProblemKind(
        400, "The request is invalid", "Fix every entry of `errors` and send the request again."
    ),
    "malformed_request": ProblemKind(
        400, "The request cannot be read", "Send HTTP/1.1, and the whole head without a pause."
    ),
    "malformed_body": ProblemKind(
        400, "The body cannot be read", "Send one JSON object in UTF-8 that matches the documented type."
    ),
    "not_found": ProblemKind(404, "Not found", "Check the address. The id of another device gets the same answer."),
    "method_not_allowed": ProblemKind(405, "Method not allowed", "See the `Allow` header."),
    "not_acceptable": ProblemKind(406, "The requested media type is not available", "Request `application/json`."),
    "body_too_large": ProblemKind(413, "The body is too large", "Send a smaller request."),
    "head_too_large": ProblemKind(
        431, "The head of the request is too large", "Send a shorter address, and fewer headers and cookies."
    ),
    "too_many_fixes": ProblemKind(413, "Too many fixes in one request", "Send at most 100."),
    "unsupported_media_type": ProblemKind(415, "Unsupported media type", "Send `application/json`."),
    # Credentials
    "token_missing": ProblemKind(401, "The credential is missing", "Send `Authorization: Bearer <token>`."),
    "token_malformed": ProblemKind(401, "The credential is invalid", "Register or enrol again."),
    "token_expired": ProblemKind(401, "The credential has expired", "Register again."),
    "token_revoked": ProblemKind(401, "The credential was revoked", "Use the newest credential, or register again."),
    "forbidden": ProblemKind(403, "Not allowed with this credential", "Use a credential of the owner."),
    "consent_required": ProblemKind(
        403, "Consent is missing", "Ask the person for consent, then call `PATCH /v1/devices/me`."
    ),
    # Repeats
    "idempotency_in_flight": ProblemKind(
        409, "The same request is still in progress", "Wait `Retry-After` seconds and repeat it."
    ),
    "idempotency_mismatch": ProblemKind(
        422, "This key was used for another request", "Use a new key for a new request."
    ),
    # The unlock
    "not_at_store": ProblemKind(
        403, "The phone is not at a participating store", "Go to `nearest_store` and try again."
    ),
    "location_missing": ProblemKind(403, "The location is missing", "Send a fresh fix in `fix`."),
    "fix_too_old": ProblemKind(403, "The fix is too old", "Take a new fix and try again."),
    "fix_in_future": ProblemKind(403, "The fix is from the future", "Correct the phone's clock."),
    "accuracy_too_low": ProblemKind(
        403, "The fix is not accurate enough", "Turn on precise location and wait for a better fix."
    ),
    "mock_location": ProblemKind(403, "The location comes from a mock provider", "Turn off mock locations."),
    "level_too_low": ProblemKind(403, "The presence level is too low", "Follow the steps in `missing`."),
    "not_in_segment": ProblemKind(
        403, "The offer is for members of a group", "The brand decides which devices belong to the group."
    ),
    "outside_window": ProblemKind(403, "The offer is closed at this time", "Come back at `next_opening_at`."),
    "before_start": ProblemKind(403, "The campaign has not started", "Come back at `next_opening_at`."),
    "after_end": ProblemKind(403, "The campaign has ended", "Nothing to do."),
    "campaign_paused": ProblemKind(403, "The campaign is paused", "Try again later."),
    "sold_out": ProblemKind(403, "Sold out", "Nothing to do."),
    "kind_not_supported": ProblemKind(403, "This kind of campaign cannot be unlocked", "Nothing to do."),
    "network_busy": ProblemKind(
        429,
        "Many phones on this network are asking for this offer",
        "Wait `Retry-After` seconds. A stay at the store shortens the wait; with the store's code there is none.",
    ),
    "network_used_up": ProblemKind(
        403, "This network has used up its share of the day", "Scan the store's code, or use another network."
    ),
    # Reservations
    "already_unlocked": ProblemKind(403, "The device already has this offer", "See `GET /v1/unlocks`."),
    "too_many_reservations": ProblemKind(
        403, "The device has too many reservations", "Use or give up one of them first."
    ),
    "out_of_reach": ProblemKind(
        403,
        "The phone is too far from the store",
        "Come within `reach_m` metres of a store of the offer and try again.",
    ),
    "reservations_full": ProblemKind(
        403, "No more units can be reserved", "Come to the store: a phone there needs no reservation."
    ),
    # The presence token
    "presence_token_invalid": ProblemKind(
        422,
        "The presence token is not valid for this brand",
        "Refuse it: it is forged, truncated, or issued to another brand.",
    ),
    "presence_token_expired": ProblemKind(422, "The presence token has expired", "Ask the app for a new one."),
    "token_spent": ProblemKind(409, "The presence token is already spent", "Refuse it; see `spent_at`."),
    # The till
    "enrolment_invalid": ProblemKind(
        403, "The enrolment token is unknown, used or expired", "Create a new one in admin."
    ),
    "code_malformed": ProblemKind(
        400, "The code contains a typing error", "Compare the code with the customer's screen."
    ),
    "code_unknown": ProblemKind(404, "The code is unknown", "Ask the customer to open the coupon in the app."),
    "screenshot": ProblemKind(
        422, "The QR code is out of date and may be a screenshot", "Ask the customer to open the coupon in the app."
    ),
    "wrong_store": ProblemKind(
        422, "The coupon is not valid in this store", "Send the customer to a store of the campaign."
    ),
    "not_yet_valid": ProblemKind(422, "The coupon is not valid yet", "It is valid from `valid_from`."),
    "outside_hours": ProblemKind(
        422,
        "The coupon is not valid at this time",
        "It is valid from `next_opening_at` to `next_closing_at`. Null means: not again before it expires.",
    ),
    "coupon_expired": ProblemKind(410, "The coupon has expired", "Do not hand out the benefit."),
    "recalled": ProblemKind(410, "The coupon was recalled", "Do not hand out the benefit; see `recalled_at`."),
    "already_redeemed": ProblemKind(409, "The coupon is already redeemed", "See `redeemed_at` and `same_store`."),
    "nonce_mismatch": ProblemKind(422, "This nonce was used for another scan", "Use a new nonce for a new scan."),
    "already_voided": ProblemKind(409, "The redemption is already void", "Nothing to do."),
    "void_too_late": ProblemKind(422, "It is too late to void this redemption here", "Ask the store manager."),
    "pin_required": ProblemKind(403, "No one is signed in at this till", "Sign in with initials and PIN."),
    "pin_wrong": ProblemKind(
        403, "The initials or the PIN are wrong", "Try again. `tries_left` is the number of attempts left."
    ),
    "pin_locked": ProblemKind(423, "There were too many wrong PINs", "Ask a manager for a new PIN."),
    "profile_forbidden": ProblemKind(
        403,
        "Not allowed with this kind of staff device",
        "A till redeems coupons; a kiosk shows the store's code. Enrol the device again with the other profile.",
    ),
    "training_code": ProblemKind(
        422, "This is a practice code", "Do not hand out anything. The code works in training only."
    ),
    "scanned_at_implausible": ProblemKind(
        422, "The time of the scan is implausible", "Correct the device's clock; `server_time` is the server's."
    ),
    "presence_required": ProblemKind(
        422,
        "The customer's phone has not proven that it is here",
        "Ask the customer to open the app here. With `may_vouch`, staff may confirm presence and send `vouch`.",
    ),
    "needs_amount": ProblemKind(422, "The amount is missing", "Send the scan again with `amount`."),
    "redeem_cap_reached": ProblemKind(
        422, "All uses are redeemed", "Do not hand out the benefit. `scope` is this store or the whole campaign."
    ),
    # The service
    "rate_limited": ProblemKind(429, "Too many requests", "Wait `Retry-After` seconds."),
    "busy": ProblemKind(
        503, "The service cannot process the request now", "Repeat the same request after `Retry-After` seconds."
    ),
    "unavailable": ProblemKind(
        503, "A part of the service is unavailable", "Repeat the request after `Retry-After` seconds."
    ),
    "internal": ProblemKind(500, "Internal error", "Report the `request_id`."),
}

FAULTS: Mapping[str, str] = {
    "missing_field": "The field is required.",
    "unknown_field": "The field is unknown.",
    "duplicate_field": "The field appears more than once in its object.",
    "missing_parameter": "The parameter is required.",
    "unknown_parameter": "The parameter is unknown.",
    "duplicate_parameter": "The parameter is given more than once.",
    "wrong_type": "The JSON type is not the documented one, or null is not allowed.",
    "wrong_length": "The text or the list is empty, too short or too long.",
    "out_of_range": "The number is below the minimum or above the maximum.",
    "not_finite": "The number is NaN, infinite, or too large for a float.",
    "null_island": "The position is 0, 0. Receivers report it before they have a position.",
    "invalid_time": "The value is not an RFC 3339 time with an offset.",
    "invalid_text": "The text contains NUL or half of a surrogate pair.",
    "invalid_format": "The value does not have the documented format.",
    "unknown_value": "The value is not one of the allowed values.",
    "duplicate_value": "The list contains a value more than once.",
    "code_or_token": "Exactly one of `code` and `token` is required.",
}
"""Codes of the entries of `errors`, in every call and in the fix lane."""

# DRF's codes. The product's own fields use the product's codes.
_FAULT_OF_DRF: Mapping[str, str] = {
    "required": "missing_field",
    "null": "wrong_type",
    "not_a_list": "wrong_type",
    "blank": "wrong_length",
    "empty": "wrong_length",
    "min_length": "wrong_length",
    "max_length": "wrong_length",
    "min_value": "out_of_range",
    "max_value": "out_of_range",
    "null_characters_not_allowed": "invalid_text",
    "surrogate_characters_not_allowed": "invalid_text",
    "invalid": "invalid_format",
    "invalid_choice": "unknown_value",
}


def fault_code(code: str | None) -> str:
    """Return the product's fault code for the code of a DRF field."""
    return _FAULT_OF_DRF.get(code or "invalid", code or "invalid")


RETRY_AFTER_S = 5
# Conflicts that a retry cannot resolve.
_LASTING = frozenset({"already_redeemed", "already_voided", "token_spent"})


def problem_body(
    code: str,
    *,
    detail: str,
    instance: str,
    request_id: str,
    faults: Sequence[Fault] = (),
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the members of one problem document. `errors` is left out when it is empty."""
    kind = CATALOGUE[code]
    body: dict[str, Any] = {
        "type": f"/problems#{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail or kind.advice,
        "instance": instance,
        "code": code,
        "request_id": request_id,
        **(fields or {}),
    }
    if faults:
        body["errors"] = [{"pointer": fault.pointer, "code": fault.code, "detail": fault.detail} for fault in faults]
    return body


def problem_headers(status: int) -> dict[str, str]:
    """Return the headers of a status: the authentication scheme, or when to retry."""
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="doorstep"'}
    if status in {409, 429, 503}:
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}


def current_request_id() -> str:
    """Return the id of the current request, as `RequestIdMiddleware` bound it."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def render(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Return a problem as a plain Django response, for views outside DRF."""
    body, status, headers = _document(request, error)
    return JsonResponse(body, status=status, headers=headers, content_type=CONTENT_TYPE)


def _document(request: HttpRequest, error: DomainError) -> tuple[dict[str, Any], int, dict[str, str]]:
    body = problem_body(
        error.code,
        detail=error.detail,
        instance=request.path,
        request_id=current_request_id(),
        faults=error.faults if isinstance(error, InvalidInput) else (),
        fields=error.fields,
    )
    status = CATALOGUE[error.code].status
    headers = problem_headers(status) if error.code not in _LASTING else {}
    if "retry_after_s" in error.fields:
        headers["Retry-After"] = str(error.fields["retry_after_s"])
    return body, status, headers


def exception_handler(exception: Exception, context: dict[str, Any]) -> Response | None:
    """Map an exception of a DRF view to a problem. An unknown exception propagates and becomes a 500."""
    error = _translate(exception)
    if error is None:
        return None
    if (outage := outages.find_outage(exception)) is not None:
        outages.note(outage)
    body, status, headers = _document(context["request"]._request, error)
    if isinstance(exception, exceptions.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return Response(body, status=status, headers=headers, content_type=CONTENT_TYPE)


_BY_EXCEPTION: tuple[tuple[type[Exception], str], ...] = (
    (Http404, "not_found"),
    (exceptions.NotFound, "not_found"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.NotAcceptable, "not_acceptable"),
    (exceptions.UnsupportedMediaType, "unsupported_media_type"),
    (exceptions.NotAuthenticated, "token_missing"),
    (exceptions.AuthenticationFailed, "token_malformed"),
    (exceptions.PermissionDenied, "forbidden"),
    (PermissionDenied, "forbidden"),
    (RequestDataTooBig, "body_too_large"),
    (SuspiciousOperation, "invalid_input"),
    (exceptions.ParseError, "malformed_body"),
)


def find_code(exception: Exception) -> str:
    """Return the problem code of an exception."""
    error = _translate(exception)
    return error.code if error is not None else "internal"


def _translate(exception: Exception) -> DomainError | None:
    if isinstance(exception, DomainError):
        return exception
    if isinstance(exception, exceptions.ValidationError):
        return InvalidInput(list(_faults(exception.detail, "")))
    for kind, code in _BY_EXCEPTION:
        if isinstance(exception, kind):
            detail = str(exception) if isinstance(exception, exceptions.ParseError) else ""
            return DomainError(code, detail)
    outage = outages.find_outage(exception)
    return DomainError(outage.code, outage.detail) if outage is not None else None


def _faults(detail: Any, pointer: str) -> list[Fault]:
    """Flatten DRF's nested error detail into pointers."""
    if isinstance(detail, Mapping):
        here = [(pointer if key == "non_field_errors" else f"{pointer}/{key}", value) for key, value in detail.items()]
        return [fault for path, value in here for fault in _faults(value, path)]
    if isinstance(detail, list):
        if any(isinstance(item, Mapping | list) for item in detail):
            return [fault for index, item in enumerate(detail) for fault in _faults(item, f"{pointer}/{index}")]
        return [fault for item in detail for fault in _faults(item, pointer)]
    return [Fault(pointer, fault_code(getattr(detail, "code", None)), str(detail))]


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: an unknown host, too many parameters, an unreadable cookie."""
    return render(request, DomainError("invalid_input", "The request cannot be read."))


@csrf_exempt
def no_such_call(request: HttpRequest) -> HttpResponse:
    """Answer an address that does not exist with a problem, in development too."""
    return render(request, DomainError("not_found"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return render(request, DomainError("not_found"))


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500. The traceback is in the log under the same request id.

    An error of a middleware does not pass `OutageMiddleware`: for example, when a session cannot be saved.
    """
    exception = sys.exc_info()[1]
    answer = answer_outage(request, exception) if exception is not None else None
    return answer or render(request, DomainError("internal"))


def answer_outage(request: HttpRequest, exception: BaseException) -> HttpResponse | None:
    """Return 503 with `Retry-After` when the database cannot serve the request: a problem, or a page for a browser."""
    outage = outages.find_outage(exception)
    if outage is None:
        return None
    outages.note(outage)
    logger.warning("database_refused", extra={"sqlstate": outage.sqlstate, "error": type(exception).__name__})
    return render_unavailable(request, DomainError(outage.code, outage.detail))


def render_unavailable(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Return a 503 problem, or a page for a browser."""
    if not request.accepts("text/html") or request.path.startswith(_PROGRAMS_ASK):
        return render(request, error)
    _, status, headers = _document(request, error)
    page = render_to_string("unavailable.html", {"request_id": current_request_id()})
    return HttpResponse(page, status=status, headers={**headers, "Cache-Control": "no-store"})


# Addresses that never return a page.
_PROGRAMS_ASK = ("/v1/", "/healthz", "/readyz", "/metrics", "/.well-known/")
