"""Delivery: claims due messages, sends them in batches and stores each result."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from celery.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction
from django.db.models import F, Q

from notifications.errors import TransportError
from notifications.metrics import NO_TRANSPORT
from notifications.models import Attempt, Message
from notifications.services.addresses import RegisteredAddress, find_active_addresses
from notifications.services.results import Result, evaluate_attempt, store
from notifications.transports import OutgoingMessage, SendResult, Transport

logger = logging.getLogger(__name__)

# The messages of a sender that died are due again after this long.
LEASE_S = 60
# A sender renews its leases when less than this is left of them: enough for one batch.
LEASE_MARGIN_S = 30

CLAIM_LIMIT = 200

Recheck = Callable[[Sequence[Message], datetime], Mapping[UUID, str]]
FindTransport = Callable[[str], Transport | None]
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcomes of one round of sending."""

    claimed: int
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Route:
    """The address and the transport of a message."""

    message: Message
    registered: RegisteredAddress
    transport: Transport


@dataclass(frozen=True, slots=True)
class _Sent:
    """The outcomes of one batch, and the messages that have one."""

    outcomes: Counter[str]
    settled: set[UUID]


def deliver_due(*, find_transport: FindTransport, recheck: Recheck, read_clock: Clock) -> Delivery:
    """Send what is due, and settle each message with its reason.

    Steps: claim messages with a lease, so that other senders skip them · ask `recheck` which ones must not be sent any
    more · find the address and transport of each · send a batch by one transport, outside any transaction · store its
    results by compare-and-set · repeat until all are settled.

    Not atomic as a whole, and meant to be repeated: the messages of a sender that was killed between sending and
    storing are sent again when their lease ends, with the same message ids, by which providers replace the first.
    """
    waiting = _claim(now=read_clock())
    withdrawn = recheck(waiting, read_clock()) if waiting else {}
    claimed, outcomes = len(waiting), Counter[str]()
    singly: set[Transport] = set()
    while waiting := _keep_leases(waiting, now=read_clock()):
        unsent, routes = _find_routes(waiting, withdrawn, find_transport, now=read_clock())
        outcomes.update(store(unsent))
        settled = {result.message.id for result in unsent}
        if batch := _take_batch(routes, singly):
            sent = _send_batch(batch, singly, read_clock)
            outcomes.update(sent.outcomes)
            settled |= sent.settled
        waiting = [message for message in waiting if message.id not in settled]
    return Delivery(claimed=claimed, outcomes=outcomes)


def _claim(*, now: datetime) -> list[Message]:
    """Lease the oldest due messages. The attempt number that is set here identifies the owner of the lease."""
    leased_until = now + timedelta(seconds=LEASE_S)
    with transaction.atomic():
        due = (
            Message.objects.select_for_update(skip_locked=True)
            .filter(Q(state=Message.State.PENDING) | Q(state=Message.State.LEASED), next_attempt_at__lte=now)
            .order_by("next_attempt_at")[:CLAIM_LIMIT]
        )
        messages = list(due)
        Message.objects.filter(id__in=[message.id for message in messages]).update(
            state=Message.State.LEASED, next_attempt_at=leased_until, attempts=F("attempts") + 1
        )
    for message in messages:
        message.attempts += 1
        message.next_attempt_at = leased_until
    return messages


def _keep_leases(messages: list[Message], *, now: datetime) -> list[Message]:
    """Return the messages whose lease we own; renew the leases if they end soon.

    Without this, a slow transport would send messages whose lease has ended and which another sender has claimed.
    """
    if not messages or messages[0].next_attempt_at - now >= timedelta(seconds=LEASE_MARGIN_S):
        return messages
    leased_until = now + timedelta(seconds=LEASE_S)
    with connection.cursor() as cursor:
        ids, attempts = [message.id for message in messages], [message.attempts for message in messages]
        cursor.execute(_RENEW_SQL, [leased_until, ids, attempts])
        owned = {row[0] for row in cursor.fetchall()}
    kept = [message for message in messages if message.id in owned]
    for message in kept:
        message.next_attempt_at = leased_until
    return kept


_RENEW_SQL = """
UPDATE notifications_message m SET next_attempt_at = %s
FROM unnest(%s::uuid[], %s::int[]) AS k(id, attempts)
WHERE m.id = k.id AND m.attempts = k.attempts AND m.state = 'leased'
RETURNING m.id
"""


def _find_routes(
    messages: Sequence[Message], withdrawn: Mapping[UUID, str], find_transport: FindTransport, *, now: datetime
) -> tuple[list[Result], list[_Route]]:
    """Return the messages that cannot be sent, with the reason, and the routes of the others.

    Addresses are read again for each batch, since one may have died with the last batch.
    """
    addresses = find_active_addresses({message.device_id for message in messages})
    unsent, routes = [], []
    for message in messages:
        found = addresses.get(message.device_id, [])
        # The latest address first, and one that this deployment cannot reach only counts if there is no other.
        usable = ((one, find_transport(one.address.kind)) for one in found)
        route = next((_Route(message, one, transport) for one, transport in usable if transport), None)
        if message.expires_at <= now:
            unsent.append(Result(message, Message.State.EXPIRED, "expired", at=now))
        elif message.id in withdrawn:
            unsent.append(Result(message, Message.State.SUPPRESSED, withdrawn[message.id], at=now))
        elif not found:
            unsent.append(Result(message, Message.State.SUPPRESSED, "unreachable", at=now))
        elif route is None:
            kinds = sorted({one.address.kind for one in found})
            logger.error("no transport", extra={"message_id": str(message.id), "kinds": kinds})
            unsent.append(Result(message, Message.State.FAILED, NO_TRANSPORT, at=now))
        else:
            routes.append(route)
    return unsent, routes


def _take_batch(routes: Sequence[_Route], singly: Collection[Transport]) -> list[_Route]:
    """Return the first routes by one transport, at most one per device: an address that dies gets no second message."""
    batch: dict[UUID, _Route] = {}
    for route in routes:
        transport = routes[0].transport
        limit = 1 if transport in singly else transport.batch_limit
        if route.transport is transport and len(batch) < limit:
            batch.setdefault(route.message.device_id, route)
    return list(batch.values())


def _send_batch(batch: Sequence[_Route], singly: set[Transport], read_clock: Clock) -> _Sent:
    """Send a batch and store its results, also those that are known when the transport is interrupted.

    A fault in a transport's code leaves the rest of the batch unsettled and adds the transport to `singly`: then a
    message that causes the fault fails alone.
    """
    known: list[Result] = []
    try:
        if not _collect_results(batch, known, read_clock):
            singly.add(batch[0].transport)
    finally:
        outcomes = store(known)
    return _Sent(outcomes, {result.message.id for result in known})


def _collect_results(batch: Sequence[_Route], known: list[Result], read_clock: Clock) -> bool:
    """Add the result of each message to `known` as soon as the transport yields it; False: some are missing."""
    transport, started_at = batch[0].transport, read_clock()
    unknown = {route.message.id: route for route in batch}
    failure = TransportError("no_result")
    try:
        for message_id, sent in transport.send_many([_outgoing(route) for route in batch], now=started_at):
            route = unknown.pop(message_id, None)
            if route is not None:
                known.append(_evaluate(route, sent, started_at, read_clock()))
    except SoftTimeLimitExceeded:
        raise
    except TransportError as error:
        failure = error
    except Exception:
        # A fault of one transport must not stop the messages of the others.
        logger.exception("transport raised", extra={"transport": transport.name})
        if len(batch) > 1:
            return False
        failure = TransportError("transport_raised")
    known += [_evaluate(route, failure, started_at, read_clock()) for route in unknown.values()]
    return True


def _outgoing(route: _Route) -> OutgoingMessage:
    message = route.message
    return OutgoingMessage(
        message_id=message.id,
        device_id=message.device_id,
        address=route.registered.address,
        title=message.title,
        body=message.body,
        data=message.data,
        expires_at=message.expires_at,
        request_id=message.request_id,
    )


def _evaluate(route: _Route, sent: SendResult, started_at: datetime, now: datetime) -> Result:
    attempt = Attempt(message=route.message, transport=route.transport.name, started_at=started_at, finished_at=now)
    return evaluate_attempt(attempt, route.registered, sent)
