"""What sending counts, by the names of `docs/metrics.md`."""

from prometheus_client import Counter, Histogram

DELIVER = Counter(
    "doorstep_deliver",
    "Messages that left the outbox or are to be tried again, by outcome and reason.",
    ["outcome", "reason"],
)
DELIVER_AGE_SECONDS = Histogram(
    "doorstep_deliver_age_seconds",
    "Seconds from the decision to speak until the transport has accepted the message.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
)
