"""Admission of a request to the fix lane: its credential, its limits, its headers and its body."""

import base64
import binascii

import msgspec

from promotions import shedding, stream, tokens
from promotions.errors import DomainError, Fault, InvalidInput
from promotions.http.lane.answers import Receive, RequestHead, Scope
from promotions.http.lane.dialects.values import Unreadable
from promotions.http.lane.running import Running
from promotions.tokens import DeviceClaims, TokenError

# Overland's largest batch has some 600 kB; the rest is room for long field values.
MAX_INGEST_BODY_BYTES = 2 * 1024 * 1024
# A body that is read before its credential is known: some 400 records of the longest form.
MAX_UNKNOWN_BODY_BYTES = 256 * 1024


class LaneRequest(msgspec.Struct, frozen=True, gc=False):
    """A request whose body is not yet read."""

    scope: Scope
    receive: Receive
    head: RequestHead
    now_ms: int


class Caller(msgspec.Struct, frozen=True, gc=False):
    """The claims of an access token, and the shard of its device."""

    claims: DeviceClaims
    shard: int


def require_live(claims: DeviceClaims, request: LaneRequest, running: Running) -> None:
    """Refuse credentials that have expired or were revoked, and all of them while revocations cannot be followed."""
    claims.require_live(request.now_ms)
    if not running.revocations.is_fresh:
        raise DomainError("unavailable")
    code = running.revocations.find_refusal(claims.device_id, claims.issued_at_ms)
    if code == "token_revoked":
        raise TokenError(code)
    if code:
        raise DomainError(code)


async def require_room(claims: DeviceClaims, shard: int, request: LaneRequest, running: Running) -> int:
    """Return the seconds after which the phone should report again; 0: as usual. Errors: `busy`, `rate_limited`."""
    next_after_s = shedding.require_room_for_fixes(shard)
    if over := count_over(claims, request, running):
        await running.rate.require(claims.device_id.int, over, request.now_ms / 1000)
    return next_after_s


def count_over(claims: DeviceClaims, request: LaneRequest, running: Running) -> int:
    """Count the device's request; return its requests this minute if they exceed this process's share, else 0."""
    count = running.rate.count(claims.device_id.int, request.now_ms / 1000)
    return count if count > running.rate.share else 0


def require_json(request: LaneRequest) -> None:
    """Refuse another media type, a content coding, and query parameters."""
    head = request.head
    if head.content_type != b"application/json":
        media_type = head.content_type.partition(b";")[0].strip().lower()
        if media_type != b"application/json":
            raise DomainError("unsupported_media_type")
    if head.content_encoding not in {b"", b"identity"}:
        raise DomainError("unsupported_media_type", "Send the body without a content coding.")
    if query := request.scope["query_string"]:
        names = {pair.partition("=")[0][:80] for pair in query.decode("latin-1").split("&")[:20]}
        raise InvalidInput([Fault(f"?{name}", "unknown_parameter", "The parameter is unknown.") for name in names])


async def read_message(request: LaneRequest, running: Running, *, is_known: bool = True) -> bytes:
    """Return a stock phone's body. Errors: Unreadable if too large; `malformed_body`, `busy`, ClientDisconnected.

    A phone that is not known yet, because its key is in the body, gets `body_too_large` from a lower limit on.
    """
    max_bytes = MAX_INGEST_BODY_BYTES if is_known else MAX_UNKNOWN_BODY_BYTES
    try:
        return await running.bodies.read(request.receive, request.head, max_bytes)
    except DomainError as error:
        if error.code != "body_too_large" or not is_known:
            raise
        # For example a point of interest with its photograph. The phone would retry it for weeks and send nothing else.
        raise Unreadable from None


def read_caller(authorization: bytes) -> Caller:
    """Verify the signature of an access token. `require_live` checks for each request whether it is still valid."""
    claims = tokens.verify_access_token(_read_bearer(authorization))
    return Caller(claims, stream.shard_of(claims.device_id))


def _read_bearer(authorization: bytes) -> str | None:
    scheme, _, credential = authorization.partition(b" ")
    return credential.strip().decode("latin-1") if scheme.lower() == b"bearer" else None


def read_key(authorization: bytes) -> str | None:
    """Return the ingest key from a Bearer token or a Basic password. The user name is ignored."""
    scheme, _, credential = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return _read_bearer(authorization) or None
    try:
        login = base64.b64decode(credential.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise TokenError("token_malformed") from None
    return login.partition(":")[2] or None
