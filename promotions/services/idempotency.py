"""Answers kept for the next time the same request comes, so that a lost answer never means a second effect."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.conf import settings

from promotions.errors import DomainError
from promotions.models import IdempotencyRecord

# A request that has not answered after this long died with its process; the next one may take its place.
IN_FLIGHT_MAX_S = 60


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A keyed request: its scope, its key, and its fingerprint."""

    scope: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, byte for byte."""

    status: int
    content_type: str
    body: bytes
    # When the request it answers was claimed.
    requested_at: datetime


@dataclass(frozen=True, slots=True)
class RequestLease:
    """The right to work a keyed request and keep its answer; void once a later request took it over."""

    record_id: int
    claimed_at: datetime


def lease_request(request: KeyedRequest, *, now: datetime) -> RequestLease | Answer:
    """The claim to work a new request, or the stored answer of a repeated one. Committed before the work begins.

    Errors: `idempotency_in_flight` while the first one is at work, `idempotency_mismatch` for another request.
    """
    record, is_new = IdempotencyRecord.objects.get_or_create(
        scope=request.scope,
        key=digest_key(request.key),
        defaults={"fingerprint": request.fingerprint, "created_at": now},
    )
    if is_new:
        return RequestLease(record.pk, now)
    age = now - record.created_at
    if age >= timedelta(seconds=settings.IDEMPOTENCY_LIFE_S):
        return _take_over(record, request, now)
    if bytes(record.fingerprint) != request.fingerprint:
        raise DomainError("idempotency_mismatch")
    if record.status is not None:
        return Answer(record.status, record.content_type, bytes(record.body or b""), record.created_at)
    if age < timedelta(seconds=IN_FLIGHT_MAX_S):
        raise DomainError("idempotency_in_flight")
    return _take_over(record, request, now)


def digest_key(key: str) -> str:
    """Return the form in which a key is stored.

    Without a credential, the key gives its holder the stored answer: a reader of the table must not learn it. Such a
    key is too long to be guessed from its digest.
    """
    return sha256(key.encode()).hexdigest()


def _take_over(record: IdempotencyRecord, request: KeyedRequest, now: datetime) -> RequestLease:
    # Compare-and-set on the lease: of two that find the same dead request, one continues.
    taken = IdempotencyRecord.objects.filter(pk=record.pk, created_at=record.created_at).update(
        fingerprint=request.fingerprint, created_at=now, status=None, content_type="", body=None
    )
    if not taken:
        raise DomainError("idempotency_in_flight")
    return RequestLease(record.pk, now)


def keep_answer(lease: RequestLease, answer: Answer) -> None:
    """Store the answer, unless another request has taken the lease over."""
    IdempotencyRecord.objects.filter(pk=lease.record_id, created_at=lease.claimed_at).update(
        status=answer.status, content_type=answer.content_type, body=answer.body
    )


def release_lease(lease: RequestLease) -> None:
    """Let the key go: the answer was of the moment, and the same request may get another one next time."""
    IdempotencyRecord.objects.filter(pk=lease.record_id, created_at=lease.claimed_at, status__isnull=True).delete()
