"""Every task of the product: a name, a bound, one call. All may run twice; none is the only copy of anything."""

import logging

from celery import shared_task
from django.db import connection

from notifications import transports
from notifications.services import deliver_due
from promotions import clock, clocks, drain, metrics, stream
from promotions.database.roles import Role, limits_for
from promotions.services import event_partitions, retention
from promotions.services.devices import revocation_notices
from promotions.services.fixes import deliveries

logger = logging.getLogger(__name__)

# As long as there is time until the next turn.
DROP_STATEMENT_TIMEOUT_S = 900


def _may_evaluate() -> bool:
    """Return whether this process's clock is right. While it is wrong, the work waits."""
    clocks.compare_if_due("worker")
    if clocks.GUARD.is_trusted():
        return True
    metrics.CLOCK_REFUSED.inc()
    return False


@shared_task(ignore_result=True, soft_time_limit=60, time_limit=90)
def drain_shard(shard: int) -> None:
    """A wake-up: this shard has work."""
    if drain.PAUSE.is_on() or not _may_evaluate():
        return
    with drain.PAUSE.watch():
        drained = drain.drain_shard(shard, read_clock=clock.now)
    if drained.has_more:
        drain_shard.delay(shard)
    if drained.messages:
        deliver_messages.delay()


@shared_task(ignore_result=True, expires=10)
def sweep_shards() -> None:
    """Behind the wake-ups: wake every shard that waits. Behind the trims: trim again."""
    drain.trim_processed()
    for shard in drain.waiting_shards():
        # A wake-up that is under way already is not repeated, or they would pile up behind busy workers.
        if stream.claim_wake(stream.sync_client(), shard):
            drain_shard.delay(shard)


@shared_task(ignore_result=True, soft_time_limit=120, time_limit=150, expires=30)
def deliver_messages() -> None:
    """Send the messages of the outbox."""
    if _may_evaluate():
        deliver_due(find_transport=transports.find_transport, recheck=deliveries.recheck, read_clock=clock.now)


@shared_task(ignore_result=True, expires=10)
def announce_revocations() -> None:
    """Announce refused credentials to the fix lanes again, where they missed them or Redis lost them."""
    revocation_notices.announce_unheard()


@shared_task(ignore_result=True, expires=600)
def drop_expired() -> None:
    """Delete expired rows, unless the clocks differ. One statement may delete very many."""
    try:
        clocks.require_agreement("worker")
    except clocks.ClocksDiffer as error:
        metrics.RETENTION_HELD.labels("all", "clocks").inc()
        logger.error("retention_held", extra={"table": "all", "reason": str(error)})
        return
    with limits_for(connection, Role.WORKER, statement_timeout=DROP_STATEMENT_TIMEOUT_S):
        retention.drop_expired(now=clock.now())


@shared_task(ignore_result=True, expires=600)
def make_event_partitions() -> None:
    """Make the event log's partitions of the coming months."""
    if _may_evaluate():
        event_partitions.make_partitions(now=clock.now())
