"""Counters and histograms of sending, listed in `docs/metrics.md`."""

from prometheus_client import Counter, Histogram

DELIVER = Counter(
    "doorstep_deliver",
    "Messages that left the outbox or will be retried, by outcome and reason.",
    ["outcome", "reason"],
)
# Counted from zero, so that the first such message raises the alarm.
NO_TRANSPORT = "no_transport"
DELIVER.labels("failed", NO_TRANSPORT)
DEAD_ADDRESSES = Counter(
    "doorstep_deliver_dead_addresses",
    "Push addresses deactivated because the provider reported them dead.",
)
DELIVER_AGE_SECONDS = Histogram(
    "doorstep_deliver_age_seconds",
    "Seconds from the decision to send a message until the transport accepts it.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
)
