"""`Idempotency-Key`: a handler marked `@idempotent` answers a repeated request with the stored answer."""

import hashlib
from collections.abc import Callable
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
from promotions.services.idempotency import Answer, Ask, Claim, abandon_claim, claim_request, keep_answer

Handler = Callable[..., HttpResponseBase]

HEADER = "Idempotency-Key"
MAX_KEY_CHARS = 255
# Without a credential the key alone says who repeats a request, so it must not be one that two phones may choose.
MIN_ANONYMOUS_KEY_CHARS = 20
ANONYMOUS = "anonymous"
# Answers of the moment: the same request may fare better next time.
_PASSING = frozenset({401, 403, 409, 429})


def idempotent(handler: Handler) -> Handler:
    """Mark a view's handler: a keyed request is worked once, and its answer is kept for `IDEMPOTENCY_LIFE_S`.

    Not kept: 401, 403, 409, 429 and 5xx. A request that died is taken over by its repeat after a minute.
    """

    @wraps(handler)
    def answer_once(view: ApiView, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        key = _read_key(request)
        if key is None:
            return handler(view, request, *args, **kwargs)
        claim = claim_request(_ask(request, key), now=view.now)
        if isinstance(claim, Answer):
            return _respond(claim, is_replay=True)
        return _work(view, lambda: handler(view, request, *args, **kwargs), claim)

    answer_once.is_idempotent = True  # type: ignore[attr-defined]
    return answer_once


def _work(view: ApiView, handle: Callable[[], HttpResponseBase], claim: Claim) -> HttpResponseBase:
    is_kept = False
    try:
        response = _handle(view, handle)
        if response.status_code < 500 and response.status_code not in _PASSING:
            answer = _read_answer(response)
            keep_answer(claim, answer)
            is_kept = True
            return _respond(answer, is_replay=False)
        return response
    finally:
        if not is_kept:
            abandon_claim(claim)


def _handle(view: ApiView, handle: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """The handler's answer, or the problem its error becomes; errors that are our fault go on."""
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
    return InvalidInput([Fault(f"#{HEADER}", "invalid", detail)])


def _ask(request: Request, key: str) -> Ask:
    what = b"\n".join([(request.method or "").encode(), request.get_full_path().encode(), raw_body(request)])
    return Ask(scope=_scope(request), key=key, fingerprint=hashlib.sha256(what).digest())


def _scope(request: Request) -> str:
    """The credential that asks; another one with the same key asks something else."""
    if isinstance(request.user, Device):
        return f"device:{request.user.pk}"
    if isinstance(request.auth, StaffDevice):
        return f"staff:{request.auth.pk}"
    return ANONYMOUS


def _read_answer(response: HttpResponseBase) -> Answer:
    if isinstance(response, Response):
        body = b"" if response.data is None else JSONRenderer().render(response.data)
        return Answer(response.status_code, response.content_type or "application/json", body)
    if isinstance(response, HttpResponse):
        return Answer(response.status_code, response.headers.get("Content-Type", ""), response.content)
    raise TypeError("A streamed answer cannot be kept.")


def _respond(answer: Answer, *, is_replay: bool) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status, content_type=answer.content_type)
    if answer.status == 204:
        del response["Content-Type"]
    if is_replay:
        response["Idempotency-Replayed"] = "true"
    return response
