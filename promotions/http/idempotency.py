"""`Idempotency-Key`: a view's method marked `@idempotent` answers a repeated request with the stored answer."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from promotions.errors import Fault, InvalidInput
from promotions.http.views import ApiView, raw_body
from promotions.models import Device, StaffDevice
from promotions.services.idempotency import (
    Answer,
    KeyedRequest,
    RequestLease,
    keep_answer,
    lease_request,
    release_lease,
)

Method = Callable[..., HttpResponseBase]

HEADER = "Idempotency-Key"
MAX_KEY_CHARS = 255
# Without a credential the key alone says who repeats a request, so it must not be one that two phones may choose.
MIN_ANONYMOUS_KEY_CHARS = 20
ANONYMOUS = "anonymous"
# Replaces a credential in a stored answer.
_CONCEALED = "(not stored)"
# Answers of the moment: the same request may fare better next time.
_PASSING = frozenset({401, 403, 409, 429})


Reveal = Callable[[Mapping[str, Any], datetime], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Concealment:
    """Members of an answer that are not stored, and how to derive them from the rest and the time of the request."""

    names: frozenset[str]
    reveal: Reveal


def idempotent(method: Method) -> Method:
    """Mark a view's method: a keyed request is processed once, and its answer is stored for `IDEMPOTENCY_LIFE_S`.

    Not stored: 401, 403, 409, 429 and 5xx. A repeat takes over a request that died after a minute.
    """
    return _wrap(method, None)


def idempotent_with_secrets(*names: str, reveal: Reveal) -> Callable[[Method], Method]:
    """`idempotent` for answers that hold credentials: these are never stored, but made again for the repeat."""
    return lambda method: _wrap(method, Concealment(frozenset(names), reveal))


def _wrap(method: Method, concealment: Concealment | None) -> Method:
    @wraps(method)
    def answer_once(view: ApiView, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = _read_key(request)
        if key is None:
            return method(view, request, *args, **kwargs)
        lease = lease_request(_read_request(request, key), now=view.now)
        if isinstance(lease, Answer):
            return _replay(lease, concealment)
        return _work(view, lambda: method(view, request, *args, **kwargs), lease, concealment)

    answer_once.is_idempotent = True  # type: ignore[attr-defined]
    return answer_once


def _work(
    view: ApiView, handle: Callable[[], HttpResponseBase], lease: RequestLease, concealment: Concealment | None
) -> HttpResponseBase:
    is_kept = False
    try:
        response = _handle(view, handle)
        if response.status_code < 500 and response.status_code not in _PASSING:
            keep_answer(lease, _read_answer(response, lease, concealment))
            is_kept = True
        return response
    finally:
        if not is_kept:
            release_lease(lease)


def _handle(view: ApiView, handle: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """The method's answer, or the problem its error becomes; errors that are our fault go on."""
    try:
        return handle()
    except Exception as error:  # noqa: BLE001 - `handle_exception` raises again what it does not know
        problem: HttpResponseBase = view.handle_exception(error)
        return problem


def _read_key(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    is_fit = 0 < len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable() and " " not in key
    if not is_fit:
        raise _fault(f"1 to {MAX_KEY_CHARS} printable ASCII characters without blanks.")
    if _scope(request) == ANONYMOUS and len(key) < MIN_ANONYMOUS_KEY_CHARS:
        raise _fault(f"At least {MIN_ANONYMOUS_KEY_CHARS} characters where no credential is given; a UUID is best.")
    return key


def _fault(detail: str) -> InvalidInput:
    return InvalidInput([Fault(f"#{HEADER}", "invalid_format", detail)])


def _read_request(request: Request, key: str) -> KeyedRequest:
    what = b"\n".join([(request.method or "").encode(), request.get_full_path().encode(), raw_body(request)])
    return KeyedRequest(scope=_scope(request), key=key, fingerprint=hashlib.sha256(what).digest())


def _scope(request: Request) -> str:
    """The credential of the request; the same key with another credential is another request."""
    if isinstance(request.user, Device):
        return f"device:{request.user.pk}"
    if isinstance(request.auth, StaffDevice):
        return f"staff:{request.auth.pk}"
    return ANONYMOUS


def _read_answer(response: HttpResponseBase, lease: RequestLease, concealment: Concealment | None) -> Answer:
    if not isinstance(response, Response):
        raise TypeError("Only answers of data can be kept.")
    data = response.data
    if concealment is not None and isinstance(data, dict):
        data = {name: _CONCEALED if value and name in concealment.names else value for name, value in data.items()}
    body = b"" if data is None else JSONRenderer().render(data)
    return Answer(response.status_code, response.content_type or "application/json", body, lease.claimed_at)


def _replay(answer: Answer, concealment: Concealment | None) -> HttpResponse:
    body = answer.body
    if concealment is not None and body:
        data = json.loads(body)
        hidden = [name for name, value in data.items() if value == _CONCEALED and name in concealment.names]
        if hidden:
            revealed = concealment.reveal(data, answer.requested_at)
            body = JSONRenderer().render({**data, **{name: revealed[name] for name in hidden}})
    response = HttpResponse(body, status=answer.status, content_type=answer.content_type)
    if not body:
        del response["Content-Type"]
    response["Idempotency-Replayed"] = "true"
    return response
